"""Render the bundled avatars: people that are in no training clip.

python -m lipstream_training.stages.render_avatars
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from lipstream_models.bundled import bundled_model_path

from ..head.identity import PersonIdentity
from ..head.scene import Scene
from ..rendering.renderer import HeadRenderer
from .render_clips import FRAMING

SERIES = 99
"""First number of the seeds; those of clips are smaller."""
AVATARS = {"amara": 12, "finn": 15, "ines": 22, "kofi": 20, "mei": 7, "mila": 29, "oskar": 3, "walter": 10}
"""Names of the avatars, and second numbers of their seeds."""
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
    """Return one portrait, rendered larger and scaled down, so that hair and lashes are antialiased."""
    rng = np.random.default_rng([SERIES, number])
    identity, scene = PersonIdentity.sample(rng), Scene.sample(rng)
    scene = dataclasses.replace(scene, face_fraction=scene.face_fraction * FRAMING)
    image = Image.fromarray(renderer.render(identity, scene, EXPRESSION).pixels)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Render the bundled avatars.")
    parser.add_argument(
        "--out",
        type=Path,
        default=bundled_model_path().parent / "avatars",
        help="Folder to write the images to; the package's own by default.",
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    renderer = HeadRenderer(SIZE * SUPERSAMPLING)
    for name, number in AVATARS.items():
        render_avatar(renderer, number).save(arguments.out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
