"""Renders the bundled avatars: `python -m lipstream_training.head.avatars`. People that no clip of the training set shows."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from lipstream_models.bundled import bundled_model_path

from ..data.render_clips import OUTLINE
from .identity import Identity
from .renderer import HeadRenderer
from .scene import Scene

SERIES = 99
AVATARS = {"amara": 12, "finn": 15, "ines": 22, "kofi": 20, "mei": 7, "mila": 29, "oskar": 3, "walter": 10}
SIZE = 512
SUPERSAMPLING = 2
EXPRESSION = {
    "mouthSmileLeft": 0.22,
    "mouthSmileRight": 0.22,
    "cheekSquintLeft": 0.1,
    "cheekSquintRight": 0.1,
    "browInnerUp": 0.1,
}


def render_avatar(renderer: HeadRenderer, number: int) -> Image.Image:
    """One portrait, rendered larger and brought down, so that hair and lashes come out soft."""
    rng = np.random.default_rng([SERIES, number])
    identity, scene = Identity.sample(rng), Scene.sample(rng)
    scene = dataclasses.replace(scene, face_fraction=scene.face_fraction * OUTLINE)
    picture = Image.fromarray(renderer.render(identity, scene, EXPRESSION).pixels)
    return picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=bundled_model_path().parent / "avatars")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    renderer = HeadRenderer(SIZE * SUPERSAMPLING)
    for name, number in AVATARS.items():
        render_avatar(renderer, number).save(arguments.out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
