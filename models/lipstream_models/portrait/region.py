"""Rotated squares of an image: sampling their pixels, and mapping points back to the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Region:
    """A square of `side` pixels around (`cx`, `cy`), rotated by `angle` radians (clockwise in the image).

    Coordinates follow OpenCV (the centre of the first pixel is 0), as in MediaPipe.
    """

    cx: float
    cy: float
    side: float
    angle: float = 0.0

    def sample(self, image: Pixels, size: int) -> Pixels:
        """Resample the square of an (H, W, 3) image to (size, size, 3) bilinearly; black outside the image.

        Above a factor of two the source is first averaged over whole blocks, so that large photographs do not
        alias. MediaPipe skips this; inputs of about the network's size give the same result.
        """
        corners = self.to_image(np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32))
        height, width = image.shape[:2]
        x0, y0 = (max(0, math.floor(low) - 2) for low in corners.min(axis=0))
        x1, y1 = (math.ceil(high) + 3 for high in corners.max(axis=0))
        x1, y1 = min(width, x1), min(height, y1)
        if x1 <= x0 or y1 <= y0:
            return np.zeros((size, size, 3), np.uint8)
        source = Image.fromarray(image[y0:y1, x0:x1])
        block = max(1, int(self.side / size / 2))
        if block > 1:
            source = source.reduce(block)
        # Pillow counts from pixel corners: output (u + 0.5, v + 0.5) -> source (x + 0.5, y + 0.5)
        step = self.side / size / block
        a, b = math.cos(self.angle) * step, math.sin(self.angle) * step
        cx = (self.cx + 0.5 - x0) / block - (a - b) * (size + 1) / 2
        cy = (self.cy + 0.5 - y0) / block - (a + b) * (size + 1) / 2
        warp = (a, -b, cx, b, a, cy)
        rotated = source.transform((size, size), Image.Transform.AFFINE, warp, Image.Resampling.BILINEAR)
        return np.asarray(rotated)

    def to_image(self, points: Floats) -> Floats:
        """Map (N, 2) or (N, 3) points from units of the side to image pixels; the origin is the first corner.

        A third coordinate (depth) is only scaled.
        """
        u, v = points[:, 0] - 0.5, points[:, 1] - 0.5
        cos, sin = math.cos(self.angle) * self.side, math.sin(self.angle) * self.side
        columns = [self.cx + cos * u - sin * v, self.cy + sin * u + cos * v]
        if points.shape[1] == 3:
            columns.append(points[:, 2] * self.side)
        return np.stack(columns, axis=1).astype(np.float32)
