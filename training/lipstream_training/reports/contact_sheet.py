"""Render a contact sheet of random heads.

python -m lipstream_training.reports.contact_sheet --seed 0 --out sheet.png
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..head.identity import PersonIdentity
from ..head.scene import Scene
from ..rendering.renderer import HeadRenderer

EXPRESSIONS: dict[str, dict[str, float]] = {
    "rest": {},
    "AA": {"jawOpen": 0.7, "mouthLowerDownLeft": 0.3, "mouthLowerDownRight": 0.3},
    "EE": {
        "jawOpen": 0.15,
        "mouthSmileLeft": 0.4,
        "mouthSmileRight": 0.4,
        "mouthStretchLeft": 0.4,
        "mouthStretchRight": 0.4,
        "mouthUpperUpLeft": 0.3,
        "mouthUpperUpRight": 0.3,
        "mouthLowerDownLeft": 0.5,
        "mouthLowerDownRight": 0.5,
    },
    "OO": {"mouthPucker": 0.8, "jawOpen": 0.12, "mouthFunnel": 0.3},
    "OH": {"mouthFunnel": 0.7, "jawOpen": 0.4},
    "FV": {"mouthRollLower": 0.6, "mouthUpperUpLeft": 0.4, "mouthUpperUpRight": 0.4, "jawOpen": 0.06},
    "MBP": {"mouthPressLeft": 0.6, "mouthPressRight": 0.6, "mouthRollLower": 0.2, "mouthRollUpper": 0.2},
    "TH": {"jawOpen": 0.25, "tongueOut": 0.3, "mouthLowerDownLeft": 0.3, "mouthLowerDownRight": 0.3},
    "close": {"jawOpen": 0.4, "mouthClose": 0.4},
    "blink": {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    "smile": {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "cheekSquintLeft": 0.5, "cheekSquintRight": 0.5},
    "brows": {"browInnerUp": 0.8, "eyeWideLeft": 0.5, "eyeWideRight": 0.5},
}


def people_sheet(seed: int, rows: int, columns: int, size: int) -> NDArray[np.uint8]:
    """Return an image (rows * size, columns * size, 3) of people, each with a slight turn and smile."""
    renderer = HeadRenderer(size)
    rng = np.random.default_rng(seed)
    cells = []
    for _ in range(rows * columns):
        identity, scene = PersonIdentity.sample(rng), Scene.sample(rng)
        smile = float(rng.uniform(0, 0.35))
        turn = (float(rng.normal(0, 0.15)), float(rng.normal(0, 0.06)), float(rng.normal(0, 0.04)))
        weights = {
            "mouthSmileLeft": smile,
            "mouthSmileRight": smile,
            "cheekSquintLeft": smile / 2,
            "cheekSquintRight": smile / 2,
        }
        cells.append(renderer.render(identity, scene, weights, turn).pixels)
    return np.vstack([np.hstack(cells[r * columns : (r + 1) * columns]) for r in range(rows)])


def expression_sheet(seed: int, size: int) -> NDArray[np.uint8]:
    """Return an image (2 * size, 6 * size, 3) of one person with all `EXPRESSIONS`."""
    renderer = HeadRenderer(size)
    rng = np.random.default_rng(seed)
    identity, scene = PersonIdentity.sample(rng), Scene.sample(rng)
    cells = [renderer.render(identity, scene, w, (0.12, 0.0, 0.0)).pixels for w in EXPRESSIONS.values()]
    half = len(cells) // 2
    return np.vstack([np.hstack(cells[:half]), np.hstack(cells[half:])])


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Render a contact sheet of random heads.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of the people.")
    parser.add_argument("--out", type=Path, required=True, help="Image file to write.")
    parser.add_argument("--rows", type=int, default=4, help="Rows of people.")
    parser.add_argument("--columns", type=int, default=6, help="Columns of people.")
    parser.add_argument("--size", type=int, default=256, help="Pixels per side of a head.")
    parser.add_argument(
        "--expressions", action="store_true", help="Show one person with many expressions instead."
    )
    arguments = parser.parse_args()
    seed, size = arguments.seed, arguments.size
    sheet = (
        expression_sheet(seed, size)
        if arguments.expressions
        else people_sheet(seed, arguments.rows, arguments.columns, size)
    )
    Image.fromarray(sheet).save(arguments.out)


if __name__ == "__main__":
    main()
