"""Training windows: a crop shows the same area in every array of a window."""

import numpy as np
import pytest
import torch

from lipstream_training.data.latent_dataset import (
    FLOW_WEIGHT,
    LatentClip,
    LatentClips,
    channel_weights,
)
from lipstream_training.data.training_windows import TrainingWindows, WindowOptions, sample_windows

SIDE, LEVELS = 16, 3


def positions(side: int) -> np.ndarray:
    """Return an array (side, side) of numbers that identify the token at every level."""
    y, x = np.mgrid[:side, :side] * (SIDE / side)
    return np.asarray(y * SIDE + x, np.float16)


def position_clip(frames: int = 12) -> LatentClip:
    """Return a clip whose latents, samples, masks and face region are their own positions.

    A second channel of the samples is the number of the reference; the mouth is at the bottom right.
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


def numbered_clip(first: float, frames: int = 12) -> LatentClip:
    """Return a clip in which all latents, samples and features of frame i are ``first`` + i."""
    still = position_clip(frames)
    numbers = np.float16(first) + np.arange(frames, dtype=np.float16)
    return LatentClip(
        **{
            **vars(still),
            "latents": np.broadcast_to(numbers[:, None, None, None], still.latents.shape).copy(),
            "samples": np.broadcast_to(numbers[:, None, None, None], still.samples.shape).copy(),
            "features": np.broadcast_to(numbers[:, None, None], still.features.shape).copy(),
        }
    )


def windows_of(clips: list[LatentClip], options: WindowOptions, seed: int = 0) -> TrainingWindows:
    """Return 20 windows of 4 frames."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    return sample_windows(LatentClips.stacked(clips), 20, 4, options, 1.0, rng, generator)


def test_crop_is_the_same_area_of_every_array() -> None:
    crop = 8
    windows = windows_of([position_clip()], WindowOptions(crop=crop, motion_noise=0))
    assert windows.latents.shape == (20, 2, 4, crop, crop)
    for row in range(20):
        area = windows.reference[row, 0]
        corner = divmod(int(area[0, 0]), SIDE)
        assert all(offset % 4 == 0 for offset in corner)
        torch.testing.assert_close(windows.motion[row, 0, 0], area)
        torch.testing.assert_close(windows.latents[row, 0, 0], area)
        for level, mask in enumerate(windows.masks):
            torch.testing.assert_close(
                mask[row, 0].view(crop >> level, -1), area[:: 1 << level, :: 1 << level]
            )
        region = (windows.face_region[row, 0, ::16, ::16] * 255).round()
        torch.testing.assert_close(region, area % 256)


def test_crop_contains_the_mouth() -> None:
    options = WindowOptions(crop=8, mouth_weight=100, face_weight=0)
    windows = windows_of([position_clip()], options, seed=1)
    assert ((windows.weight > 1).sum(dim=(1, 3, 4)) == 6).all()


def test_strong_channels_have_larger_weights() -> None:
    whole = position_clip()
    weak = whole.latents * np.float16(0.25)
    both = LatentClip(**{**vars(whole), "latents": np.concatenate([whole.latents, weak], axis=1)})
    strong_weight, weak_weight, *_ = channel_weights(LatentClips.stacked([both])).flatten().tolist()
    assert strong_weight / weak_weight == pytest.approx(4)
    assert (strong_weight + weak_weight) / 2 == pytest.approx(1)


def test_every_channel_of_a_sample_has_a_weight() -> None:
    weights = channel_weights(LatentClips.stacked([position_clip()])).flatten().tolist()
    assert weights == [1, FLOW_WEIGHT]


def test_window_is_consecutive_frames_with_their_audio_and_the_frames_before() -> None:
    options = WindowOptions(motion_noise=0, first_window_share=0)
    windows = windows_of([numbered_clip(100), numbered_clip(200)], options)
    frames = windows.latents[:, 0, :, 0, 0]
    assert {int(first) // 100 for first in frames[:, 0]} == {1, 2}
    torch.testing.assert_close(frames, frames[:, :1] + torch.arange(4))
    torch.testing.assert_close(windows.motion[:, :, 0, 0, 0], frames[:, :1] + torch.tensor([-2, -1]))
    torch.testing.assert_close(windows.audio[:, :, 2, 0, 0], frames)
    first = 100 * (frames // 100)
    context = frames[..., None] + torch.arange(-2, 3)
    expected = context.clamp(min=first[..., None], max=first[..., None] + 11)
    torch.testing.assert_close(windows.audio[..., 0, 0], expected)


def test_motion_frames_of_a_first_window_are_its_portrait_without_noise() -> None:
    windows = windows_of([numbered_clip(100)], WindowOptions(first_window_share=1))
    torch.testing.assert_close(windows.motion, windows.reference[:, None].expand_as(windows.motion))


def test_references_of_a_clip_with_fewer_ones_are_repeated() -> None:
    whole = position_clip()
    names = ("samples", "reference_frames", "embeddings", "face_regions")
    one = {name: getattr(whole, name)[:1] for name in names}
    few = LatentClip(**{**vars(whole), **one, "masks": tuple(mask[:1] for mask in whole.masks)})
    clips = LatentClips.stacked([whole, few])
    assert clips.reference_frames.tolist() == [[0, 5], [0, 0]]


def test_clips_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one length, got .* of \(13, "):
        LatentClips.stacked([position_clip(12), position_clip(13)])


def test_samples_are_those_of_the_window_s_reference() -> None:
    whole = position_clip()
    latents = np.arange(12, dtype=np.float16)[:, None, None, None] + np.zeros_like(whole.latents)
    windows = windows_of([LatentClip(**{**vars(whole), "latents": latents})], WindowOptions())
    reference = windows.reference[:, 0, 0, 0]  # frame 0 or 5: reference 0 or 1, which the flow channel is
    assert set(reference.tolist()) == {0.0, 5.0}
    torch.testing.assert_close(windows.latents[:, 1, 0, 0, 0], (reference > 0).float())
