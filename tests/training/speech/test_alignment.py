"""The measure of label lag finds the lag of labels."""

import pytest

from lipstream_training.motion.talks import load_talks
from lipstream_training.speech.alignment import label_lags
from lipstream_training.speech.phones import Speech


@pytest.mark.parametrize("voice", ["librivox", "flite:awb"])
def test_labels_of_the_held_out_talks_have_no_lag(voice: str) -> None:
    lag = label_lags(speech for speech, _ in load_talks() if speech.voice == voice)
    assert abs(lag.vowels) < 20
    assert abs(lag.sibilants) < 20


@pytest.mark.parametrize("offset", [-0.04, 0.03])
def test_label_lag_is_measured(offset: float) -> None:
    talks = [speech for speech, _ in load_talks() if speech.voice == "flite:awb"]
    moved = [Speech(s.audio, tuple(phone.moved(offset) for phone in s.phones), s.voice) for s in talks]
    assert label_lags(moved).vowels == pytest.approx(label_lags(talks).vowels - 1000 * offset, abs=10)
