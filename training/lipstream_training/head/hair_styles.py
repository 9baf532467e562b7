"""Hair styles, and the hairline."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .hair_geometry import CENTRE

Floats = NDArray[np.float32]

HAIRLINE_AZIMUTH = (0, 20, 35, 45, 52, 57, 62, 70, 76, 98, 106, 120, 150, 180)
HAIRLINE_HEIGHT = (7.47, 7.48, 7.45, 7.30, 7.05, 6.85, 6.62, 6.60, 6.88, 6.90, 6.60, 6.36, 6.2, 6.2)


@dataclass(frozen=True)
class HairStyle:
    """How hair grows; lengths in decimetres.

    Attributes:
        locks: Number of locks.
        length: Mean length of a lock.
        width: Mean width of a lock.
        lift: Largest distance of a lock from the skull.
        flow: Directions of growth: "crop", "side", "back", "part", "bun", "afro" or "none".
        steps: Segments of a lock.
        cap: Density of the hair that is painted on the scalp.
        recede: How far the hairline recedes at the temples.
        puff: Thickness of the swollen scalp under the locks.
    """

    locks: int
    length: float
    width: float
    lift: float
    flow: str
    steps: int = 9
    cap: float = 1.0
    recede: float = 0.0
    puff: float = 0.0


STYLES: dict[str, HairStyle] = {
    "bald": HairStyle(0, 0, 0, 0, "none", cap=0.0),
    "buzz": HairStyle(0, 0, 0, 0, "none", cap=0.92),
    "crop": HairStyle(560, 0.36, 0.10, 0.065, "crop", steps=5, puff=0.035),
    "side": HairStyle(420, 0.95, 0.12, 0.080, "side", steps=8, puff=0.04),
    "back": HairStyle(380, 1.1, 0.12, 0.080, "back", steps=8, puff=0.04),
    "receding": HairStyle(480, 0.36, 0.09, 0.04, "crop", steps=5, recede=0.22),
    "bob": HairStyle(420, 1.75, 0.20, 0.11, "part", steps=12, puff=0.05),
    "long": HairStyle(420, 2.9, 0.22, 0.11, "part", steps=13, puff=0.05),
    "fringe": HairStyle(440, 2.0, 0.20, 0.10, "part", steps=12, puff=0.05),
    "wavy": HairStyle(400, 2.2, 0.20, 0.13, "part", steps=14, puff=0.06),
    "bun": HairStyle(340, 1.25, 0.14, 0.05, "bun", steps=9, puff=0.025),
    "afro": HairStyle(900, 0.13, 0.13, 0.05, "afro", steps=3, puff=0.30),
    "beanie": HairStyle(0, 0, 0, 0, "none", cap=1.0, puff=0.10),
}


def hairline(template: Floats, recede: float) -> Floats:
    """Return the signed distance (n,) inside the hairline of points (n, 3), negative on the face and neck.

    Args:
        template: (n, 3) positions on the template head.
        recede: Decimetres by which the hairline recedes at the temples.
    """
    azimuth = np.degrees(np.arctan2(np.abs(template[:, 0]), template[:, 2] - CENTRE[2]))
    grid = np.arange(0.0, 180.5, 1.0)
    curve = np.interp(grid, HAIRLINE_AZIMUTH, HAIRLINE_HEIGHT)
    curve = (
        curve
        + recede * np.clip(1 - np.abs(grid - 32) / 32, 0, 1)
        + recede * 0.6 * np.clip(2 - grid / 15, 0, 1)
    )
    # The distance is on a cylinder of the head's mean radius: on steep temples the height alone is too large.
    arc = np.radians(azimuth[:, None] - grid[None]) * 0.72
    apart = np.sqrt(arc**2 + (template[:, 1:2] - curve[None]) ** 2).min(1)
    return np.asarray(np.sign(template[:, 1] - np.interp(azimuth, grid, curve)) * apart, np.float32)
