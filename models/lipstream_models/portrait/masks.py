"""Region masks of full image, face and lips (Hallo's soft masks), and the face tokens of DFA.

Soft masks follow Hallo (hallo/utils/util.py and image_processor.py: rectangles of landmarks, 64 x 64,
Gaussian blur, min-max), in numpy. They equal those of OpenCV 5.0 bit for bit, as checked on 300 random faces
in images of many sizes; `tests/data/masks_opencv.npz` has four of them. Two deliberate differences, in cases
where Hallo fails, are in `_soft` and `_expanded`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .landmark_ids import FACE_OVAL, LIPS_OUTER
from .opencv_filters import gaussian_blur, normalise_minmax, resize_linear
from .region import Floats, Pixels

MASK_SIZE = 64
FACE_EXPANSION, LIP_EXPANSION = 1.2, 2.0
FACE_KERNEL, LIP_KERNEL = 51, 31
Rectangle = tuple[int, int, int, int]
Tokens = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class RegionMasks:
    """The three masks of Hallo's masked audio attention at one resolution.

    Attributes:
        full: (1, h*w) float32 0..1, the image without the face (in Hallo: full, pose or background).
        face: (1, h*w), the face without the lips.
        lip: (1, h*w), the lips.
    """

    full: Floats
    face: Floats
    lip: Floats


@dataclass(frozen=True, eq=False)
class SoftMasks:
    """The same three masks as (64, 64) uint8 images."""

    full: Pixels
    face: Pixels
    lip: Pixels


def face_rectangle(landmarks: Floats, height: int, width: int) -> Rectangle:
    """Return x0, y0, x1, y1 (ends excluded): the box of the face outline, enlarged 1.2 times."""
    return _expanded_box(landmarks[list(FACE_OVAL), :2], height, width, FACE_EXPANSION)


def lip_rectangle(landmarks: Floats, height: int, width: int) -> Rectangle:
    """Return x0, y0, x1, y1 (ends excluded): the box of the outer lips, enlarged twice."""
    return _expanded_box(landmarks[list(LIPS_OUTER), :2], height, width, LIP_EXPANSION)


def soft_masks(landmarks: Floats, height: int, width: int) -> SoftMasks:
    """Return Hallo's three region masks for (478, 2 or 3) landmarks in an image of that size."""
    face = _soft(_filled(face_rectangle(landmarks, height, width), height, width), FACE_KERNEL)
    lip = _soft(_filled(lip_rectangle(landmarks, height, width), height, width), LIP_KERNEL)
    # Hallo inverts in floating point and truncates, which for some values gives one less than 255 - face.
    full = ((1.0 - face / 255.0) * 255).astype(np.uint8)
    return SoftMasks(full, face - np.minimum(face, lip), lip)


def mask_pyramid(masks: SoftMasks, levels: tuple[int, ...]) -> tuple[RegionMasks, ...]:
    """Return the masks for each depth of the UNet, by the sides of the latents: 64, 32, 16, 8 for Hallo."""
    return tuple(
        RegionMasks(*(_flat(mask, side) for mask in (masks.full, masks.face, masks.lip))) for side in levels
    )


def face_region(landmarks: Floats, height: int, width: int, size: int) -> Pixels:
    """Return the input of Hallo's face locator: (size, size, 3) uint8, white in the face rectangle."""
    hard = Image.fromarray(_filled(face_rectangle(landmarks, height, width), height, width)).convert("RGB")
    if hard.size != (size, size):
        hard = hard.resize((size, size), Image.Resampling.BILINEAR)
    return np.array(hard)


def foreground_tokens(
    landmarks: Floats, size: int, side: int, dilation: float = 1.1, hair: float = 0.15
) -> Tokens:
    """Return (side*side,) bool, the latent tokens that the face covers; never empty.

    The outline is enlarged about its centre, and its upper half raised, because the mesh ends below the
    hairline. A token belongs to the face when a quarter of it is covered.

    Args:
        landmarks: (478, 2 or 3) in pixels of the (size, size) image.
        size: Side of the image in pixels.
        side: Side of the latents in tokens.
        dilation: Factor by which the outline is enlarged.
        hair: Most by which the upper half is raised, in units of the face's height.
    """
    outline = landmarks[list(FACE_OVAL), :2].astype(np.float64)
    low, high = outline.min(axis=0), outline.max(axis=0)
    centre, height = (low + high) / 2, max(float(high[1] - low[1]), 1e-6)
    lift = np.clip((centre[1] - outline[:, 1]) / (height / 2), 0, 1) * hair * height
    grown = centre + (outline - centre) * dilation
    grown[:, 1] -= lift
    fine = 8  # samples a token side
    canvas = Image.new("L", (side * fine, side * fine))
    points = (grown + 0.5) * (side * fine / size) - 0.5
    ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in points], fill=255)
    covered = np.asarray(canvas, np.float32).reshape(side, fine, side, fine).mean(axis=(1, 3)) / 255.0
    tokens: Tokens = covered >= 0.25
    if not tokens.any():
        column, row = np.clip((centre + 0.5) * side / size, 0, side - 1).astype(int)
        tokens[row, column] = True
    return tokens.reshape(-1)


def _expanded_box(points: Floats, height: int, width: int, ratio: float) -> Rectangle:
    low, high = np.round(points.min(axis=0)), np.round(points.max(axis=0))
    x0, x1 = _expanded(float(low[0]), float(high[0]), width, ratio)
    y0, y1 = _expanded(float(low[1]), float(high[1]), height, ratio)
    return x0, y0, x1, y1


def _expanded(low: float, high: float, length: int, ratio: float) -> tuple[int, int]:
    """Enlarge an interval about its centre in whole pixels, and move it back into [0, length]."""
    centre, half = (low + high) // 2, ((high - low) * ratio) // 2
    low, high = centre - half, centre + half
    if low < 0:
        low, high = 0, high - low
    if high > length:
        low, high = low - (high - length), length
    # Hallo lets a rectangle larger than the image start below zero, and then fills nothing.
    start = min(max(round(low), 0), length - 1)
    return start, max(min(round(high), length), start + 1)


def _filled(rectangle: Rectangle, height: int, width: int) -> Pixels:
    x0, y0, x1, y1 = rectangle
    mask = np.zeros((height, width), np.uint8)
    mask[y0:y1, x0:x1] = 255
    return mask


def _soft(mask: Pixels, kernel: int) -> Pixels:
    blurred = gaussian_blur(resize_linear(mask, MASK_SIZE), kernel)
    if blurred.min() == blurred.max():
        # The rectangle covers everything or, in a huge image, lies between the samples. OpenCV's min-max gives
        # zeros for both; a face that fills the image must not disable its own attention.
        return blurred
    return normalise_minmax(blurred)


def _flat(mask: Pixels, side: int) -> Floats:
    """Resize a (64, 64) mask and flatten it: (1, side*side) float32 0..1."""
    image = Image.fromarray(mask)
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BILINEAR)
    return (np.asarray(image, np.float32) / np.float32(255.0)).reshape(1, side * side)
