"""Speech of clips: pieces keep audio and phones together, and clips are reproducible."""

import shutil

import numpy as np
import pytest
from spoken_phones import spoken

from lipstream_training.motion.script import concatenate_speech, cut_speech, make_clip
from lipstream_training.speech.phones import SAMPLE_RATE, SILENCE


def test_concatenated_and_cut_speech_keeps_audio_and_phones_together() -> None:
    first, second = spoken(("AA", 0.2)), spoken(("M", 0.1), ("IY", 0.2))
    both = concatenate_speech([first, second])
    assert len(both.audio) == len(first.audio) + len(second.audio)
    piece = cut_speech(both, 8000, 8000)
    np.testing.assert_array_equal(piece.audio, both.audio[8000:16000])
    nasal = next(phone for phone in piece.phones if phone.symbol == "M")
    assert nasal.start == pytest.approx(len(first.audio) / SAMPLE_RATE + 0.4 - 0.5)


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
@pytest.mark.parametrize("split", ["train", "heldout"])
def test_clip_has_640_samples_per_frame_and_is_reproducible(split: str) -> None:
    speech, animation = make_clip(3, 2.0, split, voice="flite:slt")
    again, same = make_clip(3, 2.0, split, voice="flite:slt")
    assert len(animation.blendshapes) == 50
    assert len(speech.audio) == 50 * 640
    np.testing.assert_array_equal(speech.audio, again.audio)
    np.testing.assert_array_equal(animation.blendshapes, same.blendshapes)
    assert any(phone.symbol != SILENCE for phone in speech.phones)
