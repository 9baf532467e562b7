"""The mouth that a sound lets expect moves as much as mouths do, and a clip that shows it is the same clip otherwise."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lipstream_training.diffusion.audio_to_blendshapes import STATE, MouthReader, heard_mouth
from lipstream_training.motion.animation import animate
from lipstream_training.speech.phones import SAMPLE_RATE, Phone, Speech


def speech() -> Speech:
    """A second of a hum that is said to be 'ama'."""
    audio = np.sin(np.arange(SAMPLE_RATE) / 20).astype(np.float32) * 0.3
    phones = (Phone("AA", 0.0, 0.4), Phone("M", 0.4, 0.6), Phone("AA", 0.6, 1.0))
    return Speech(audio, phones, "nobody")


def test_a_given_mouth_is_shown_and_nothing_else_changes() -> None:
    shut: NDArray[np.float32] = np.zeros((25, 52), np.float32)
    own = animate(speech(), 25, np.random.default_rng(1))
    given = animate(speech(), 25, np.random.default_rng(1), mouth=shut)
    assert own.track("jawOpen").max() > 0.2
    assert given.track("jawOpen").max() == 0
    np.testing.assert_array_equal(given.track("eyeBlinkLeft"), own.track("eyeBlinkLeft"))
    np.testing.assert_array_equal(given.head_rotation, own.head_rotation)
    assert given.closures == own.closures


def test_the_mouth_that_the_phones_make_given_back_is_the_same_face() -> None:
    own = animate(speech(), 25, np.random.default_rng(1))
    again = animate(speech(), 25, np.random.default_rng(1), mouth=own.mouth)
    np.testing.assert_array_equal(again.blendshapes, own.blendshapes)


def test_what_is_expected_is_stretched_to_the_quantiles_of_speech() -> None:
    torch.manual_seed(0)
    reader = MouthReader().eval()
    tokens = torch.randn(400, reader.mean.shape[0])
    true = torch.rand(400, 52)
    with torch.no_grad():
        expected = reader(tokens)
        reader.stretch(expected, true)
        heard = reader.stretched(tokens)
    assert heard.std() > 2 * expected.numpy().std()
    for share in (0.05, 0.5, 0.95):
        wanted = np.quantile(true.numpy(), share, axis=0)
        np.testing.assert_allclose(np.quantile(heard, share, axis=0), wanted, atol=0.02)
    order = np.argsort(expected[:, 3].numpy())
    assert (np.diff(heard[order, 3]) >= 0).all()


def test_nothing_is_heard_before_something_was_learnt(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=STATE):
        heard_mouth(tmp_path)
