"""Parts of frames that the decoder is trained on: whatever is cut out, mirrored and recoloured, its masks fit it."""

import numpy as np
import torch

from lipstream_training.autoencoder_batch import Batch, sample_batch
from lipstream_training.dataset import Clip, ClipTruth
from lipstream_training.device_frames import DeviceFrames

SIDE, CROP = 64, 32


def clip(mouth: tuple[int, int, int, int], face: tuple[int, int, int, int], frames: int = 3) -> Clip:
    """Black frames with a red face, whose mouth is yellow."""
    pictures = np.zeros((frames, SIDE, SIDE, 3), np.uint8)
    for (left, top, right, bottom), channel in ((face, 0), (mouth, 1)):
        pictures[:, top:bottom, left:right, channel] = 255
    boxes = [np.tile(np.array([box], np.float32), (frames, 1)) for box in (face, mouth)]
    nothing = np.zeros((frames, 52), np.float32)
    sound = np.zeros(640 * frames, np.float32)
    return Clip("clip", pictures, ClipTruth(sound, nothing, nothing[:, 0], np.zeros(0, np.int64), *boxes))


CLIPS = [clip((30, 40, 40, 48), (20, 20, 50, 56)), clip((2, 50, 12, 60), (0, 30, 30, 64))]


def assert_masks_fit(batch: Batch) -> None:
    red, green = batch.images[:, :1] > 0, batch.images[:, 1:2] > 0
    assert torch.equal(batch.face > 0, red)
    assert torch.equal(batch.mouth > 0, green)


def test_masks_fit_parts_that_are_cut_on_the_host() -> None:
    batch = sample_batch(CLIPS, 40, np.random.default_rng(0), CROP)
    assert batch.images.shape == (40, 3, CROP, CROP)
    assert_masks_fit(batch)


def test_masks_fit_parts_that_are_cut_on_the_device() -> None:
    batch = DeviceFrames.stacked(CLIPS, "cpu").sample(40, CROP, torch.Generator().manual_seed(0))
    assert batch.images.shape == (40, 3, CROP, CROP)
    assert_masks_fit(batch)


def test_most_parts_show_the_mouth() -> None:
    batch = DeviceFrames.stacked(CLIPS, "cpu").sample(200, CROP, torch.Generator().manual_seed(1))
    assert (batch.mouth.amax(dim=(1, 2, 3)) > 0).float().mean() > 0.7
