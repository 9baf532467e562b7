"""Tests of lip synchronisation, PSNR and sharpness."""

import math

import numpy as np
import pytest

from lipstream_models.quality.image_quality import psnr, sharpness
from lipstream_models.quality.lip_sync import closed_share, compare_tracks

TRUTH = np.abs(np.sin(np.arange(200) * 0.37)) * 0.4
NO_CLOSURES = np.zeros(0, np.int64)


@pytest.mark.parametrize("delay", [-3, 0, 1, 4])
def test_lag_equals_the_delay_of_the_measured_lips(delay: int) -> None:
    sync = compare_tracks(np.roll(TRUTH, delay)[5:-5], TRUTH[5:-5], NO_CLOSURES)
    assert sync.lag == delay
    if delay == 0:
        assert sync.correlation == pytest.approx(1.0)


def test_frames_without_a_face_are_left_out() -> None:
    measured = 2 * TRUTH + 0.1
    measured[::7] = np.nan
    assert compare_tracks(measured, TRUTH, NO_CLOSURES).correlation == pytest.approx(1.0)


def test_closure_counts_when_the_lips_close_within_a_frame() -> None:
    track = np.full(40, 0.2)
    track[[10, 21]] = 0.0
    assert closed_share(track, np.array([10, 20, 30])) == pytest.approx(2 / 3)
    assert math.isnan(closed_share(track, NO_CLOSURES))


def test_psnr_and_sharpness_use_the_inside_of_the_box_only() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (2, 32, 32, 3), dtype=np.uint8)
    other = frames.copy()
    other[:, :8] = 0
    box = np.array([[4, 10, 28, 30]] * 2, np.float32)
    assert psnr(frames, other, box) > 100 > psnr(frames, other)
    blurred = np.repeat(np.repeat(frames[:, ::4, ::4], 4, 1), 4, 2)
    assert sharpness(blurred, box) < sharpness(frames, box)
