"""The committed held-out talks."""

from pathlib import Path

import numpy as np
import pytest

from lipstream_training.motion.animation import Animation
from lipstream_training.motion.talks import FRAMES, load_talks, save_talks
from lipstream_training.speech.phones import (
    BILABIALS,
    SILENCE,
    Speech,
    SpeechError,
)
from lipstream_training.speech.voices import HELDOUT_VOICES, TRAIN_VOICES

Talks = list[tuple[Speech, Animation]]


@pytest.fixture(scope="module")
def talks() -> Talks:
    return load_talks()


def test_talks_are_a_minute_of_held_out_voices(talks: Talks) -> None:
    assert sum(speech.seconds for speech, _ in talks) >= 60
    assert {speech.voice for speech, _ in talks} <= set(HELDOUT_VOICES) - set(TRAIN_VOICES)
    for speech, face in talks:
        assert len(speech.audio) == FRAMES * 640
        assert face.blendshapes.shape == (FRAMES, 52)
        assert all(0 <= frame < FRAMES for frame in face.closures)


def test_mouths_are_closed_at_closures_and_in_silence_and_open_in_vowels(talks: Talks) -> None:
    for speech, face in talks:
        gap = face.track("jawOpen") - face.track("mouthClose")
        assert all(gap[frame] < 0.06 for frame in face.closures)
        for phone in speech.phones:
            middle = int((phone.start + phone.end) / 2 * 25)
            if not 0 <= middle < FRAMES:
                continue
            if phone.symbol == SILENCE and phone.end - phone.start > 0.6:
                assert gap[middle] < 0.03
            if phone.symbol == "AA" and phone.end - phone.start > 0.12:
                assert gap[middle] > 0.15


def test_every_bilabial_of_a_talk_is_a_closure(talks: Talks) -> None:
    for speech, face in talks:
        bilabials = [
            p for p in speech.phones if p.symbol in BILABIALS and p.start > 0 and p.end < speech.seconds
        ]
        assert len(bilabials) - 2 <= len(face.closures) <= len(bilabials) + 2
        for phone in bilabials:
            middle = (phone.start + phone.end) / 2 * 25
            assert min(abs(frame + 0.5 - middle) for frame in face.closures) < 1


def test_saved_talks_are_loaded_unchanged(talks: Talks, tmp_path: Path) -> None:
    save_talks(talks[:3], tmp_path / "talks")
    for (speech, face), (same, again) in zip(talks, load_talks(tmp_path / "talks"), strict=False):
        np.testing.assert_allclose(same.audio, speech.audio, atol=1e-4)
        np.testing.assert_allclose(again.blendshapes, face.blendshapes, atol=1e-3)
        assert again.closures == face.closures
        assert [phone.symbol for phone in same.phones] == [phone.symbol for phone in speech.phones]


def test_missing_talks_are_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(SpeechError, match="run python -m"):
        load_talks(tmp_path / "talks")
