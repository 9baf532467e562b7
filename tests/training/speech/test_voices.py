"""Every voice gives audio with phones that cover it and are aligned to it; voices that are not installed are skipped."""

import shutil

import numpy as np
import pytest

from lipstream_training.speech.alignment import label_lags
from lipstream_training.speech.phones import SYMBOLS, Speech, SpeechError
from lipstream_training.speech.recordings import librivox_sentences
from lipstream_training.speech.voices import VoiceVariation, synthesise

TEXTS = (
    "Perhaps Bob will pick up the paper by the big blue bus.",
    "She sells fresh fish at the shop near the shore.",
    "Papa and Mama made jam from plums and pears.",
    "Maybe tomorrow morning the snow will melt away.",
)
VOICES = ("flite:slt", "flite:awb", "espeak:en-us+m3", "hibari", "joe", "librivox")
MAX_LAG_MS = 20.0

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")


def speeches_of(voice: str) -> tuple[Speech, ...]:
    try:
        if voice == "librivox":
            return librivox_sentences()
        rng = np.random.default_rng(0)
        return tuple(synthesise(text, voice, rng) for text in TEXTS)
    except SpeechError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("voice", VOICES)
def test_phones_cover_the_audio_and_are_aligned_to_it(voice: str) -> None:
    speeches = speeches_of(voice)
    for speech in speeches:
        assert speech.audio.dtype == np.float32
        assert np.abs(speech.audio).max() <= 1.2
        assert speech.phones[0].start == 0
        assert speech.phones[-1].end == pytest.approx(speech.seconds)
        assert {phone.symbol for phone in speech.phones} <= SYMBOLS
        for before, after in zip(speech.phones, speech.phones[1:], strict=False):
            assert before.end == pytest.approx(after.start)
    assert abs(label_lags(speeches).vowels) <= MAX_LAG_MS


@needs_flite
def test_speed_changes_the_length_and_pitch_does_not() -> None:
    rng = np.random.default_rng(0)
    plain, fast, high = (
        synthesise(TEXTS[0], "flite:slt", rng, variation)
        for variation in (VoiceVariation(), VoiceVariation(speed=1.25), VoiceVariation(pitch=1.15))
    )
    assert fast.seconds == pytest.approx(plain.seconds / 1.25, rel=0.06)
    assert high.seconds == pytest.approx(plain.seconds, rel=0.06)


def test_unknown_voice_is_named_in_the_error() -> None:
    with pytest.raises(SpeechError, match="nobody"):
        synthesise("Hello.", "nobody", np.random.default_rng(0))
