"""Parts of frames that the decoder is trained on: whatever is cut out, mirrored and recoloured, its masks fit it."""

import numpy as np
import pytest
import torch

from lipstream_training.autoencoder.batch import Batch, sample_batch
from lipstream_training.data.dataset import Clip, ClipTruth
from lipstream_training.data.frame_stores import DeviceFrames, FrameStore, MappedFrames

SIDE, CROP = 64, 32


def clip(mouth: tuple[int, int, int, int], face: tuple[int, int, int, int], frames: int = 3) -> Clip:
    """Black frames with a red face, whose mouth is yellow."""
    pictures = np.zeros((frames, SIDE, SIDE, 3), np.uint8)
    for (left, top, right, bottom), channel in ((face, 0), (mouth, 1)):
        pictures[:, top:bottom, left:right, channel] = 255
    boxes = [np.tile(np.array([box], np.float32), (frames, 1)) for box in (face, mouth)]
    nothing = np.zeros((frames, 52), np.float32)
    sound = np.zeros(640 * frames, np.float32)
    still = np.zeros((1, frames, 64, 64, 2), np.float16)
    none = np.zeros(0, np.int64)
    shut, far = still[0, ..., 0].astype(np.uint8), np.zeros((frames, 4, 64), np.float32)
    truth = ClipTruth(sound, nothing, nothing[:, 0], none, *boxes, np.zeros(1, np.int64), still, shut, far)
    return Clip("clip", pictures, truth)


CLIPS = [clip((30, 40, 40, 48), (20, 20, 50, 56)), clip((2, 50, 12, 60), (0, 30, 30, 64))]


def assert_masks_fit(batch: Batch) -> None:
    red, green = batch.images[:, :1] > 0, batch.images[:, 1:2] > 0
    assert torch.equal(batch.face > 0, red)
    assert torch.equal(batch.mouth > 0, green)


STORES: list[FrameStore] = [MappedFrames.of(CLIPS), DeviceFrames.of(CLIPS, "cpu")]


def sampled(store: FrameStore, size: int, crop: int | None = CROP) -> Batch:
    return sample_batch(store, size, torch.Generator().manual_seed(0), crop)


@pytest.mark.parametrize("crop", [CROP, None])
@pytest.mark.parametrize("store", STORES)
def test_masks_fit_what_is_cut(store: FrameStore, crop: int | None) -> None:
    batch = sampled(store, 40, crop)
    assert batch.images.shape == (40, 3, crop or SIDE, crop or SIDE)
    assert_masks_fit(batch)


def test_wherever_the_frames_are_a_batch_is_the_same() -> None:
    mapped, held = (sampled(store, 40) for store in STORES)
    assert torch.equal(mapped.images, held.images)


def test_a_frame_is_found_in_its_clip() -> None:
    long = [clip((0, 0, 8, 8), (0, 0, n, 9), frames=n) for n in (3, 5, 4)]
    widths = (MappedFrames.of(long).take(torch.arange(12))[..., 0] > 0).any(dim=1).sum(dim=1)
    assert widths.tolist() == 3 * [3] + 5 * [5] + 4 * [4]


@pytest.mark.parametrize("store", STORES)
def test_most_parts_show_the_mouth(store: FrameStore) -> None:
    assert (sampled(store, 200).mouth.amax(dim=(1, 2, 3)) > 0).float().mean() > 0.7
