"""Rendered clips for tests, without a renderer."""

import numpy as np
from numpy.typing import NDArray

from lipstream_training.data.dataset import ClipTruth, RenderedClip

FLOW_SIDE = 64


def rendered_clip(
    frames: NDArray[np.uint8],
    face: tuple[int, int, int, int] = (16, 16, 48, 48),
    mouth: tuple[int, int, int, int] = (16, 16, 48, 48),
) -> RenderedClip:
    """Return a silent, motionless clip with frames (T, H, W, 3) and the same boxes in all of them."""
    count = len(frames)
    face_box, mouth_box = (np.tile(np.array([box], np.float32), (count, 1)) for box in (face, mouth))
    truth = ClipTruth(
        audio=np.zeros(640 * count, np.float32),
        blendshapes=np.zeros((count, 52), np.float32),
        lip_opening=np.zeros(count, np.float32),
        closures=np.zeros(0, np.int64),
        face_box=face_box,
        mouth_box=mouth_box,
        references=np.zeros(1, np.int64),
        flow=np.zeros((1, count, FLOW_SIDE, FLOW_SIDE, 2), np.float16),
        inside=np.zeros((count, FLOW_SIDE, FLOW_SIDE), np.uint8),
        outlines=np.zeros((count, 4, FLOW_SIDE), np.float32),
    )
    return RenderedClip("clip", frames, truth)
