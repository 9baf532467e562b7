"""Simulated recordings are not delayed."""

import numpy as np
import pytest
from scipy.signal import correlate

from lipstream_training.motion.talks import load_talks
from lipstream_training.speech.acoustics import simulate_recording
from lipstream_training.speech.phones import SAMPLE_RATE


@pytest.mark.parametrize("seed", range(12))
def test_simulated_recording_does_not_delay_the_audio(seed: int) -> None:
    clean = load_talks()[0][0].audio[:16000]
    recording = simulate_recording(clean, np.random.default_rng(seed))
    assert recording.shape == clean.shape
    assert np.abs(recording).max() <= 0.95 + 1e-6
    lag = int(np.argmax(np.abs(correlate(recording, clean)))) - (len(clean) - 1)
    assert abs(lag) / SAMPLE_RATE < 0.001
