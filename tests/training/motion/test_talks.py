"""The committed held-out talks, the measure of label lag, and the promise that acoustics never move a sound."""

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import correlate

from lipstream_training.motion.talks import FRAMES, load_talks, save_talks
from lipstream_training.speech.acoustics import simulate_recording
from lipstream_training.speech.alignment import lags
from lipstream_training.speech.phones import (
    BILABIALS,
    SAMPLE_RATE,
    SILENCE,
    Speech,
    SpeechError,
)
from lipstream_training.speech.voices import HELDOUT_VOICES, TRAIN_VOICES


def test_the_committed_talks_are_a_minute_of_unheard_voices() -> None:
    talks = load_talks()
    assert sum(speech.seconds for speech, _ in talks) >= 60
    assert {speech.voice for speech, _ in talks} <= set(HELDOUT_VOICES) - set(TRAIN_VOICES)
    for speech, face in talks:
        assert len(speech.audio) == FRAMES * 640
        assert face.blendshapes.shape == (FRAMES, 52)
        assert all(0 <= frame < FRAMES for frame in face.closures)


def test_the_talks_faces_are_shut_at_closures_and_in_silence_and_open_in_vowels() -> None:
    for speech, face in load_talks():
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


def test_labels_of_the_talks_lie_on_the_sound() -> None:
    for voice in ("librivox", "flite:awb"):
        found = lags(speech for speech, _ in load_talks() if speech.voice == voice)
        assert abs(found.vowels) < 20
        assert abs(found.hisses) < 20


@pytest.mark.parametrize("late", [-0.04, 0.03])
def test_labels_that_are_late_are_found_out(late: float) -> None:
    talks = [speech for speech, _ in load_talks() if speech.voice == "flite:awb"]
    moved = [Speech(s.audio, tuple(phone.moved(late) for phone in s.phones), s.voice) for s in talks]
    assert lags(moved).vowels == pytest.approx(lags(talks).vowels - 1000 * late, abs=10)


def test_every_bilabial_of_a_talk_is_a_closure() -> None:
    for speech, face in load_talks():
        spoken = [
            p for p in speech.phones if p.symbol in BILABIALS and p.start > 0 and p.end < speech.seconds
        ]
        assert len(spoken) - 2 <= len(face.closures) <= len(spoken) + 2
        for phone in spoken:
            middle = (phone.start + phone.end) / 2 * 25
            assert min(abs(frame + 0.5 - middle) for frame in face.closures) < 1


@pytest.mark.parametrize("seed", range(12))
def test_no_microphone_or_room_moves_a_sound(seed: int) -> None:
    clean = load_talks()[0][0].audio[:16000]
    heard = simulate_recording(clean, np.random.default_rng(seed))
    assert heard.shape == clean.shape
    assert np.abs(heard).max() <= 0.95 + 1e-6
    lag = int(np.argmax(np.abs(correlate(heard, clean)))) - (len(clean) - 1)
    assert abs(lag) / SAMPLE_RATE < 0.001


def test_talks_come_back_as_they_were_kept(tmp_path: Path) -> None:
    talks = load_talks()[:3]
    save_talks(talks, tmp_path / "talks")
    for (speech, face), (same, again) in zip(talks, load_talks(tmp_path / "talks"), strict=True):
        np.testing.assert_allclose(same.audio, speech.audio, atol=1e-4)
        np.testing.assert_allclose(again.blendshapes, face.blendshapes, atol=1e-3)
        assert again.closures == face.closures
        assert [phone.symbol for phone in same.phones] == [phone.symbol for phone in speech.phones]


def test_missing_talks_are_named(tmp_path: Path) -> None:
    with pytest.raises(SpeechError, match="run python -m"):
        load_talks(tmp_path / "talks")
