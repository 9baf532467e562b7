"""What every voice owes: sound with phones that cover it and lie on it. A voice that is not installed is skipped."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from lipstream_training.motion.script import make_clip
from lipstream_training.speech.alignment import lags
from lipstream_training.speech.phones import (
    SAMPLE_RATE,
    SILENCE,
    SYMBOLS,
    Speech,
    SpeechError,
)
from lipstream_training.speech.reading import FOLDER, reading, save_flac
from lipstream_training.speech.recordings import librivox_sentences
from lipstream_training.speech.voices import VoiceVariation, speak

TEXTS = (
    "Perhaps Bob will pick up the paper by the big blue bus.",
    "She sells fresh fish at the shop near the shore.",
    "Papa and Mama made jam from plums and pears.",
    "Maybe tomorrow morning the snow will melt away.",
)
VOICES = ("flite:slt", "flite:awb", "espeak:en-us+m3", "hibari", "joe", "librivox")
MOST_LAG = 20.0

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
needs_recordings = pytest.mark.skipif(not FOLDER.is_dir(), reason="pocketsphinx-testdata is not installed")


def spoken(voice: str) -> tuple[Speech, ...]:
    try:
        if voice == "librivox":
            return librivox_sentences()
        rng = np.random.default_rng(0)
        return tuple(speak(text, voice, rng) for text in TEXTS)
    except SpeechError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("voice", VOICES)
def test_phones_cover_the_sound_and_lie_on_it(voice: str) -> None:
    speeches = spoken(voice)
    for speech in speeches:
        assert speech.audio.dtype == np.float32
        assert np.abs(speech.audio).max() <= 1.2
        assert speech.phones[0].start == 0
        assert speech.phones[-1].end == pytest.approx(speech.seconds)
        assert {phone.symbol for phone in speech.phones} <= SYMBOLS
        for before, after in zip(speech.phones, speech.phones[1:], strict=False):
            assert before.end == pytest.approx(after.start)
    assert abs(lags(speeches).vowels) <= MOST_LAG


@needs_flite
def test_a_quicker_manner_shortens_and_pitch_alone_does_not() -> None:
    rng = np.random.default_rng(0)
    plain, quick, high = (
        speak(TEXTS[0], "flite:slt", rng, variation)
        for variation in (VoiceVariation(), VoiceVariation(speed=1.25), VoiceVariation(pitch=1.15))
    )
    assert quick.seconds == pytest.approx(plain.seconds / 1.25, rel=0.06)
    assert high.seconds == pytest.approx(plain.seconds, rel=0.06)


@needs_flite
@pytest.mark.parametrize("split", ["train", "heldout"])
def test_a_clip_has_640_samples_for_each_frame_and_comes_again(split: str) -> None:
    speech, animation = make_clip(3, 2.0, split, voice="flite:slt")
    again, face = make_clip(3, 2.0, split, voice="flite:slt")
    assert len(animation.blendshapes) == 50
    assert len(speech.audio) == 50 * 640
    np.testing.assert_array_equal(speech.audio, again.audio)
    np.testing.assert_array_equal(animation.blendshapes, face.blendshapes)
    assert any(phone.symbol != SILENCE for phone in speech.phones)


def test_an_unknown_voice_is_named_in_the_error() -> None:
    with pytest.raises(SpeechError, match="nobody"):
        speak("Hello.", "nobody", np.random.default_rng(0))


@needs_recordings
@pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="av is not installed")
def test_the_reading_is_written_as_flac(tmp_path: Path) -> None:
    import av

    audio = reading()
    assert 10 < len(audio) / SAMPLE_RATE < 13
    save_flac(tmp_path / "reading.flac", audio)
    with av.open(str(tmp_path / "reading.flac")) as container:
        decoded = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    np.testing.assert_allclose(decoded / 32767, audio, atol=1 / 32767)
