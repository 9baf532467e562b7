"""A sheet of sampled heads to look at.

`python -m lipstream_training.reports.contact_sheet --seed 0 --out sheet.png`
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..head.identity import PersonIdentity
from ..head.renderer import HeadRenderer
from ..head.scene import Scene

VISEMES: dict[str, dict[str, float]] = {
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


def sheet(seed: int, rows: int, columns: int, size: int) -> NDArray[np.uint8]:
    """Identities side by side, each with a slight turn and a faint smile, (rows*size, columns*size, 3)."""
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


def visemes(seed: int, size: int) -> NDArray[np.uint8]:
    """Every viseme of VISEMES on one identity."""
    renderer = HeadRenderer(size)
    rng = np.random.default_rng(seed)
    identity, scene = PersonIdentity.sample(rng), Scene.sample(rng)
    cells = [renderer.render(identity, scene, w, (0.12, 0.0, 0.0)).pixels for w in VISEMES.values()]
    half = len(cells) // 2
    return np.vstack([np.hstack(cells[:half]), np.hstack(cells[half:])])


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--visemes", action="store_true", help="one identity in every viseme instead")
    chosen = parser.parse_args()
    small = visemes(chosen.seed, chosen.size) if chosen.visemes else None
    picture = sheet(chosen.seed, chosen.rows, chosen.columns, chosen.size) if small is None else small
    Image.fromarray(picture).save(chosen.out)


if __name__ == "__main__":
    main()
