"""Portraits for tests: a photograph in the public domain, and images made from it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

DATA = Path(__file__).parents[1] / "data"
FACE_CENTRE = (225, 125)  # of the face in the photograph, x and y in pixels


def astronaut() -> Image.Image:
    """Return the photograph, 512 x 512, with one face about 110 pixels high."""
    return Image.open(DATA / "astronaut.jpg").convert("RGB")


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Return an image as (H, W, 3) uint8 RGB."""
    return np.array(image.convert("RGB"))


def head() -> Image.Image:
    """Return the head with a margin, 200 x 200."""
    return astronaut().crop((125, 20, 325, 220))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Encode an image in a format of Pillow."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def landscape() -> NDArray[np.uint8]:
    """Return (300, 400, 3) uint8: sky, hills and noise, without a face."""
    noise = np.random.default_rng(0).normal(0, 12, (300, 400, 3))
    rows = np.linspace(0, 1, 300)[:, None, None]
    hills = rows > 0.6 + 0.1 * np.sin(np.linspace(0, 9, 400))[None, :, None]
    ground = np.where(hills, [60, 110, 50], [140, 180, 230]) + noise
    return ground.clip(0, 255).astype(np.uint8)
