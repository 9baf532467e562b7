"""Rendered frames, and the poses of the head in them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]

MAX_GAZE = 0.38
"""Radians of gaze at an eyeLook weight of 1."""


@dataclass(frozen=True)
class RenderedFrame:
    """A rendered frame and what is known about it.

    Attributes:
        pixels: (H, W, 3) sRGB.
        lip_opening: Gap between the inner lips over the distance between the eyes (0 closed, about 0.4 wide open).
        face_box: Left, top, right, bottom in pixels, from hairline to chin.
        mouth_box: The same for both lips.
        landmarks: Position (x, y) in pixels of each landmark; left is the person's left.
    """

    pixels: Pixels
    lip_opening: float
    face_box: Box
    mouth_box: Box
    landmarks: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Pose:
    """The geometry of a frame.

    Attributes:
        points: (n, 3) shared positions before the head turns.
        head: (3, 3) rotation of the head.
        shift: (3,) translation.
    """

    points: Floats
    head: Floats
    shift: Floats


def bounding_box(points: Floats) -> Box:
    """Return left, top, right, bottom of points (n, 2)."""
    low, high = points.min(0), points.max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def add_gaze(blendshapes: Mapping[str, float], gaze: tuple[float, float]) -> dict[str, float]:
    """Return the blendshapes with eyeLook weights added for the gaze."""
    weights = dict(blendshapes)
    yaw, pitch = gaze[0] / MAX_GAZE, gaze[1] / MAX_GAZE
    moves = {
        "eyeLookOutLeft": yaw,
        "eyeLookInRight": yaw,
        "eyeLookInLeft": -yaw,
        "eyeLookOutRight": -yaw,
        "eyeLookUpLeft": pitch,
        "eyeLookUpRight": pitch,
        "eyeLookDownLeft": -pitch,
        "eyeLookDownRight": -pitch,
    }
    for name, amount in moves.items():
        if amount > 0:
            weights[name] = weights.get(name, 0.0) + amount
    return weights
