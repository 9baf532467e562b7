"""Training windows: what a crop shows is the same place in everything that a window holds."""

import numpy as np
import pytest
import torch

from lipstream_training.data.latent_dataset import (
    FLOW_WEIGHT,
    LatentClip,
    LatentClips,
    channel_weights,
)
from lipstream_training.data.training_windows import WindowOptions, Windows, sample_windows

SIDE, LEVELS = 16, 3


def positions(side: int) -> np.ndarray:
    """(side, side): a number for each place, from which its token can be told at every level."""
    y, x = np.mgrid[:side, :side] * (SIDE / side)
    return np.asarray(y * SIDE + x, np.float16)


def clip(frames: int = 12) -> LatentClip:
    """Latents of one channel that hold their own place, samples that hold it too, and a channel of flow that is their number; a
    mouth at the bottom right.
    """
    mouth = np.zeros((frames, SIDE, SIDE), np.float16)
    mouth[:, 11:13, 9:12] = 1
    samples = np.broadcast_to(positions(SIDE), (2, frames, 2, SIDE, SIDE)).copy()
    samples[:, :, 1] = np.arange(2, dtype=np.float16)[:, None, None, None]
    return LatentClip(
        latents=np.broadcast_to(positions(SIDE), (frames, 1, SIDE, SIDE)).copy(),
        samples=samples,
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


def windows_of(clips: list[LatentClip], options: WindowOptions, seed: int = 0) -> Windows:
    """20 windows of 4 frames."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    return sample_windows(LatentClips.stacked(clips), 20, 4, options, 1.0, rng, generator)


def test_a_crop_is_the_same_place_in_everything() -> None:
    crop = 8
    windows = windows_of([clip()], WindowOptions(crop=crop, motion_noise=0))
    assert windows.latents.shape == (20, 2, 4, crop, crop)
    for row in range(20):
        place = windows.reference[row, 0]
        corner = divmod(int(place[0, 0]), SIDE)
        assert all(offset % 4 == 0 for offset in corner)
        torch.testing.assert_close(windows.motion[row, 0, 0], place)
        torch.testing.assert_close(windows.latents[row, 0, 0], place)
        for level, mask in enumerate(windows.masks):
            torch.testing.assert_close(
                mask[row, 0].view(crop >> level, -1), place[:: 1 << level, :: 1 << level]
            )
        region = (windows.face_region[row, 0, ::16, ::16] * 255).round()
        torch.testing.assert_close(region, place % 256)


def test_a_crop_shows_the_mouth() -> None:
    options = WindowOptions(crop=8, mouth_weight=100, face_weight=0)
    windows = windows_of([clip()], options, seed=1)
    assert ((windows.weight > 1).sum(dim=(1, 3, 4)) == 6).all()


def test_strong_channels_count_more() -> None:
    whole = clip()
    weak = whole.latents * np.float16(0.25)
    both = LatentClip(**{**vars(whole), "latents": np.concatenate([whole.latents, weak], axis=1)})
    strong_weight, weak_weight, *_ = channel_weights(LatentClips.stacked([both])).flatten().tolist()
    assert strong_weight / weak_weight == pytest.approx(4)
    assert (strong_weight + weak_weight) / 2 == pytest.approx(1)


def test_every_channel_of_a_sample_has_its_weight() -> None:
    assert channel_weights(LatentClips.stacked([clip()])).flatten().tolist() == [1, FLOW_WEIGHT]


def moving(value: float, frames: int = 12) -> LatentClip:
    """Every latent and feature of frame i is ``value`` + i."""
    still = clip(frames)
    numbers = np.float16(value) + np.arange(frames, dtype=np.float16)
    return LatentClip(
        **{
            **vars(still),
            "latents": np.broadcast_to(numbers[:, None, None, None], still.latents.shape).copy(),
            "samples": np.broadcast_to(numbers[:, None, None, None], still.samples.shape).copy(),
            "features": np.broadcast_to(numbers[:, None, None], still.features.shape).copy(),
        }
    )


def test_a_window_is_frames_in_turn_with_their_sound_after_the_frames_before_them() -> None:
    windows = windows_of([moving(100), moving(200)], WindowOptions(motion_noise=0, first_window_share=0))
    frames = windows.latents[:, 0, :, 0, 0]
    assert {int(first) // 100 for first in frames[:, 0]} == {1, 2}
    torch.testing.assert_close(frames, frames[:, :1] + torch.arange(4))
    torch.testing.assert_close(windows.motion[:, :, 0, 0, 0], frames[:, :1] + torch.tensor([-2, -1]))
    torch.testing.assert_close(windows.audio[:, :, 2, 0, 0], frames)
    ends = 100 * (frames // 100)
    expected = (frames[..., None] + torch.arange(-2, 3)).clamp(min=ends[..., None], max=ends[..., None] + 11)
    torch.testing.assert_close(windows.audio[..., 0, 0], expected)


def test_a_first_window_follows_its_own_portrait_undisturbed() -> None:
    windows = windows_of([moving(100)], WindowOptions(first_window_share=1))
    torch.testing.assert_close(windows.motion, windows.reference[:, None].expand_as(windows.motion))


def test_a_clip_with_fewer_portraits_shows_them_more_often() -> None:
    whole = clip()
    names = ("samples", "reference_frames", "embeddings", "face_regions")
    one = {name: getattr(whole, name)[:1] for name in names}
    few = LatentClip(**{**vars(whole), **one, "masks": tuple(mask[:1] for mask in whole.masks)})
    clips = LatentClips.stacked([whole, few])
    assert clips.reference_frames.tolist() == [[0, 5], [0, 0]]


def test_clips_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one length, got .* of \(13, "):
        LatentClips.stacked([clip(12), clip(13)])


def test_what_is_learned_is_that_of_the_portrait_that_is_shown() -> None:
    whole = clip()
    latents = np.arange(12, dtype=np.float16)[:, None, None, None] + np.zeros_like(whole.latents)
    windows = windows_of([LatentClip(**{**vars(whole), "latents": latents})], WindowOptions())
    shown = windows.reference[
        :, 0, 0, 0
    ]  # frame 0 or 5: portrait 0 or 1, which is what the flow's channel holds
    assert set(shown.tolist()) == {0.0, 5.0}
    torch.testing.assert_close(windows.latents[:, 1, 0, 0, 0], (shown > 0).float())
