"""Training windows: what a crop shows is the same place in everything that a window holds."""

import numpy as np
import pytest
import torch

from lipstream_training.latent_dataset import LatentClip, WindowOptions, channel_weights_of, sample_windows

SIDE, LEVELS = 16, 3


def positions(side: int) -> np.ndarray:
    """(side, side): a number for each place, from which its token can be told at every level."""
    y, x = np.mgrid[:side, :side] * (SIDE / side)
    return np.asarray(y * SIDE + x, np.float16)


def clip(frames: int = 12) -> LatentClip:
    """Latents of one channel that hold their own place; a mouth at the bottom right."""
    mouth = np.zeros((frames, SIDE, SIDE), np.float16)
    mouth[:, 11:13, 9:12] = 1
    return LatentClip(
        latents=np.broadcast_to(positions(SIDE), (frames, 1, SIDE, SIDE)).copy(),
        features=np.zeros((frames, 2, 4), np.float16),
        reference_frames=np.array([0, 5]),
        embeddings=np.zeros((2, 512), np.float16),
        face_regions=np.stack([positions(SIDE * 16) % 256] * 2).astype(np.uint8),
        masks=tuple(
            np.broadcast_to(positions(SIDE >> i).ravel(), (2, 3, (SIDE >> i) ** 2)) for i in range(LEVELS)
        ),
        mouth=mouth,
        face=np.ones_like(mouth),
    )


def test_a_crop_is_the_same_place_in_everything() -> None:
    crop = 8
    windows = sample_windows(
        [clip()], 20, 4, WindowOptions(crop=crop, motion_noise=0), 1.0, np.random.default_rng(0)
    )
    assert windows.latents.shape == (20, 1, 4, crop, crop)
    for row in range(20):
        place = windows.reference[row, 0]
        corner = divmod(int(place[0, 0]), SIDE)
        assert all(offset % 4 == 0 for offset in corner)
        torch.testing.assert_close(windows.motion[row, 0, 0], place)
        for level, mask in enumerate(windows.masks):
            torch.testing.assert_close(
                mask[row, 0].view(crop >> level, -1), place[:: 1 << level, :: 1 << level]
            )
        region = (windows.face_region[row, 0, ::16, ::16] * 255).round()
        torch.testing.assert_close(region, place % 256)


def test_a_crop_shows_the_mouth() -> None:
    options = WindowOptions(crop=8, mouth_weight=100, face_weight=0)
    windows = sample_windows([clip()], 20, 4, options, 1.0, np.random.default_rng(1))
    assert ((windows.weight > 1).sum(dim=(1, 3, 4)) == 6).all()


def test_strong_channels_count_more() -> None:
    whole = clip()
    weak = whole.latents * np.float16(0.25)
    both = LatentClip(**{**vars(whole), "latents": np.concatenate([whole.latents, weak], axis=1)})
    strong_weight, weak_weight = channel_weights_of([both]).flatten().tolist()
    assert strong_weight / weak_weight == pytest.approx(4)
    assert (strong_weight + weak_weight) / 2 == pytest.approx(1)
