"""Crops that the decoder is trained on: their masks fit, however they are cut, mirrored and recoloured."""

import numpy as np
import pytest
import torch
from rendered_clips import rendered_clip

from lipstream_training.autoencoder.batch import FrameBatch, sample_batch
from lipstream_training.data.dataset import RenderedClip
from lipstream_training.data.frame_stores import DeviceFrames, FrameStore, MappedFrames

SIDE, CROP = 64, 32
Box = tuple[int, int, int, int]


def painted_clip(mouth: Box, face: Box, frames: int = 3) -> RenderedClip:
    """Black frames with a red face, whose mouth is yellow."""
    pixels = np.zeros((frames, SIDE, SIDE, 3), np.uint8)
    for (left, top, right, bottom), channel in ((face, 0), (mouth, 1)):
        pixels[:, top:bottom, left:right, channel] = 255
    return rendered_clip(pixels, face, mouth)


CLIPS = [painted_clip((30, 40, 40, 48), (20, 20, 50, 56)), painted_clip((2, 50, 12, 60), (0, 30, 30, 64))]
STORES: list[FrameStore] = [MappedFrames.from_clips(CLIPS), DeviceFrames.from_clips(CLIPS, "cpu")]


def batch_of(store: FrameStore, size: int, crop: int | None = CROP) -> FrameBatch:
    return sample_batch(store, size, torch.Generator().manual_seed(0), crop)


@pytest.mark.parametrize("crop", [CROP, None])
@pytest.mark.parametrize("store", STORES)
def test_masks_fit_the_cropped_frames(store: FrameStore, crop: int | None) -> None:
    batch = batch_of(store, 40, crop)
    assert batch.images.shape == (40, 3, crop or SIDE, crop or SIDE)
    assert torch.equal(batch.face > 0, batch.images[:, :1] > 0)
    assert torch.equal(batch.mouth > 0, batch.images[:, 1:2] > 0)


def test_batches_are_the_same_from_files_and_from_a_device() -> None:
    from_files, from_device = (batch_of(store, 40) for store in STORES)
    assert torch.equal(from_files.images, from_device.images)


def test_frames_are_found_in_their_clips() -> None:
    clips = [painted_clip((0, 0, 8, 8), (0, 0, n, 9), frames=n) for n in (3, 5, 4)]
    widths = (MappedFrames.from_clips(clips).read_frames(torch.arange(12))[..., 0] > 0).any(dim=1).sum(dim=1)
    assert widths.tolist() == 3 * [3] + 5 * [5] + 4 * [4]


@pytest.mark.parametrize("store", STORES)
def test_most_crops_show_the_mouth(store: FrameStore) -> None:
    assert (batch_of(store, 200).mouth.amax(dim=(1, 2, 3)) > 0).float().mean() > 0.7
