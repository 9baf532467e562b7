"""Real portraits for the tests: a photograph in the public domain, and what can be made of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

DATA = Path(__file__).parents[1] / "data"
FACE_CENTRE = (225, 125)  # of the astronaut's face in the photograph


def astronaut() -> Image.Image:
    """512 x 512, one face about 110 pixels high."""
    return Image.open(DATA / "astronaut.jpg").convert("RGB")


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    return np.array(image.convert("RGB"))


def head() -> Image.Image:
    """The head and some room, 200 x 200."""
    return astronaut().crop((125, 20, 325, 220))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def landscape() -> NDArray[np.uint8]:
    """Sky, hills and grain; nobody there."""
    noise = np.random.default_rng(0).normal(0, 12, (300, 400, 3))
    rows = np.linspace(0, 1, 300)[:, None, None]
    hills = rows > 0.6 + 0.1 * np.sin(np.linspace(0, 9, 400))[None, :, None]
    ground = np.where(hills, [60, 110, 50], [140, 180, 230]) + noise
    return ground.clip(0, 255).astype(np.uint8)
