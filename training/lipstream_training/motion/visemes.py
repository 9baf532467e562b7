"""The visemes: for each phone, targets of the 52 ARKit blendshapes, and how strongly it pulls towards them.

The weights are tuned to MakeHuman's "Face Units" shapes, on which mouthClose equal to jawOpen seals the lips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..speech.phones import SILENCE

SIDED = (
    "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut",
    "eyeLookUp", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress",
    "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer",
)  # fmt: skip
SINGLE = (
    "browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel",
    "mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower",
    "mouthShrugUpper", "tongueOut",
)  # fmt: skip
ARKIT_NAMES = tuple(sorted([*SINGLE, *(name + side for name in SIDED for side in ("Left", "Right"))]))
"""The 52 names in alphabetical order: the column order of every blendshape track."""

ARTICULATORS: Mapping[str, tuple[str, ...]] = {
    "jaw": ("jawOpen", "jawForward"),
    "round": ("mouthFunnel", "mouthPucker"),
    "spread": ("mouthSmile", "mouthStretch", "mouthDimple"),
    "lips": ("mouthUpperUp", "mouthLowerDown", "mouthShrugUpper", "mouthShrugLower",
             "mouthClose", "mouthPress", "mouthRollLower", "mouthRollUpper"),
    "tongue": ("tongueOut",),
}  # fmt: skip
"""Groups of blendshapes that move independently; each phone pulls each of them with a strength of its own."""


@dataclass(frozen=True)
class Viseme:
    """The mouth of a phone.

    Attributes:
        weights: Target of each blendshape; sided ones without their side.
        strengths: Strength of the pull on each articulator, in the order of `ARTICULATORS`.
        grip: 0 for phones that only pull towards their target, 1 for those that must reach it at their centre.
    """

    weights: Mapping[str, float]
    strengths: tuple[float, float, float, float, float] = (1.0, 1.0, 1.0, 1.0, 1.0)
    grip: float = 0.0


def load_visemes() -> dict[str, Viseme]:
    """Return the viseme of each ARPAbet phone; diphthongs consist of two visemes, see `DIPHTHONGS`."""
    sealed = Viseme(
        {"mouthPress": 0.38, "mouthRollLower": 0.32, "mouthRollUpper": 0.2, "mouthShrugLower": 0.14},
        (0.9, 0.15, 0.2, 1.0, 0.6),
        1.0,
    )
    bitten = Viseme(
        {"jawOpen": 0.06, "mouthRollLower": 0.62, "mouthUpperUp": 0.34, "mouthShrugLower": 0.08},
        (1.0, 0.25, 0.4, 1.0, 0.6),
        0.95,
    )
    dental = Viseme(
        {"jawOpen": 0.2, "tongueOut": 0.45, "mouthLowerDown": 0.25, "mouthUpperUp": 0.12},
        (0.9, 0.3, 0.4, 0.8, 1.6),
        0.6,
    )
    hissed = Viseme(
        {
            "jawOpen": 0.055,
            "mouthStretch": 0.22,
            "mouthLowerDown": 0.36,
            "mouthUpperUp": 0.2,
            "mouthSmile": 0.08,
        },
        (1.5, 0.3, 0.6, 1.0, 0.8),
        0.35,
    )
    hushed = Viseme(
        {
            "jawOpen": 0.08,
            "mouthFunnel": 0.55,
            "mouthPucker": 0.22,
            "mouthLowerDown": 0.16,
            "jawForward": 0.1,
        },
        (1.4, 1.5, 1.2, 0.9, 0.8),
        0.35,
    )
    tapped = Viseme(
        {"jawOpen": 0.13, "mouthLowerDown": 0.22, "mouthUpperUp": 0.12, "mouthStretch": 0.06},
        (0.9, 0.2, 0.3, 0.6, 0.6),
    )
    back = Viseme({"jawOpen": 0.2, "mouthLowerDown": 0.18, "mouthUpperUp": 0.1}, (0.5, 0.12, 0.15, 0.35, 0.5))
    rounded = Viseme(
        {"jawOpen": 0.1, "mouthPucker": 0.85, "mouthFunnel": 0.22}, (1.0, 1.7, 1.2, 0.9, 0.6), 0.45
    )
    consonants = {
        "P": sealed, "B": sealed, "M": sealed, "F": bitten, "V": bitten, "TH": dental, "DH": dental,
        "S": hissed, "Z": hissed, "SH": hushed, "ZH": hushed, "CH": hushed, "JH": hushed,
        "T": tapped, "D": tapped, "N": tapped, "K": back, "G": back, "NG": back, "W": rounded,
        "L": Viseme({"jawOpen": 0.24, "mouthLowerDown": 0.24, "mouthUpperUp": 0.12},
                    (0.8, 0.25, 0.25, 0.6, 0.8)),
        "R": Viseme({"jawOpen": 0.14, "mouthPucker": 0.38, "mouthFunnel": 0.24}, (0.8, 1.0, 0.7, 0.6, 0.6)),
        "Y": Viseme({"jawOpen": 0.14, "mouthSmile": 0.25, "mouthStretch": 0.28, "mouthLowerDown": 0.28,
                     "mouthUpperUp": 0.16}, (0.8, 0.4, 0.7, 0.7, 0.6)),
        "HH": Viseme({"jawOpen": 0.25, "mouthLowerDown": 0.15}, (0.15, 0.03, 0.05, 0.12, 0.4)),
    }  # fmt: skip
    rest = Viseme({"mouthClose": 0.03}, (1.0, 0.8, 0.8, 1.0, 1.0))
    return consonants | _vowels() | {SILENCE: rest}


def _vowels() -> dict[str, Viseme]:
    """Return the viseme of each vowel."""
    lips = (
        "jawOpen",
        "mouthLowerDown",
        "mouthUpperUp",
        "mouthStretch",
        "mouthSmile",
        "mouthFunnel",
        "mouthPucker",
    )
    rows = {
        "AA": (0.68, 0.30, 0.15, 0.00, 0.00, 0.06, 0.00),
        "AE": (0.54, 0.36, 0.24, 0.26, 0.10, 0.00, 0.00),
        "AH": (0.38, 0.26, 0.12, 0.05, 0.00, 0.04, 0.00),
        "AO": (0.52, 0.18, 0.06, 0.00, 0.00, 0.42, 0.14),
        "EH": (0.38, 0.32, 0.18, 0.24, 0.12, 0.00, 0.00),
        "ER": (0.22, 0.14, 0.04, 0.00, 0.00, 0.26, 0.34),
        "IH": (0.25, 0.28, 0.16, 0.20, 0.14, 0.00, 0.00),
        "IY": (0.15, 0.34, 0.24, 0.34, 0.36, 0.00, 0.00),
        "O": (0.42, 0.10, 0.02, 0.00, 0.00, 0.55, 0.28),
        "UH": (0.20, 0.10, 0.02, 0.00, 0.00, 0.34, 0.48),
        "UW": (0.12, 0.04, 0.00, 0.00, 0.00, 0.26, 0.86),
        "A": (0.62, 0.32, 0.18, 0.10, 0.04, 0.00, 0.00),
    }
    firm = {"UW": 1.5, "O": 1.3, "AO": 1.2}
    return {
        name: Viseme(dict(zip(lips, row, strict=True)), (1.0, firm.get(name, 0.9), 0.9, 0.9, 0.8))
        for name, row in rows.items()
    }


DIPHTHONGS: Mapping[str, tuple[str, str]] = {
    "EY": ("EH", "IY"), "AY": ("A", "IH"), "AW": ("A", "UW"), "OY": ("AO", "IH"), "OW": ("O", "UW"),
}  # fmt: skip
"""The two visemes of each diphthong; the first has 55 % of the time."""


def unsided(name: str) -> str:
    """Return a blendshape's name without its side: `mouthSmile` for `mouthSmileLeft`."""
    for side in ("Left", "Right"):
        if name.endswith(side) and name.removesuffix(side) in SIDED:
            return name.removesuffix(side)
    return name


def viseme_target(viseme: Viseme) -> NDArray[np.float64]:
    """Return the viseme's targets (52,) in the order of `ARKIT_NAMES`."""
    return np.array([viseme.weights.get(unsided(name), 0.0) for name in ARKIT_NAMES])


def articulator_of_columns() -> NDArray[np.intp]:
    """Return each blendshape's index in `ARTICULATORS` (52,); -1 for blendshapes that speech does not move."""
    numbers = {name: number for number, names in enumerate(ARTICULATORS.values()) for name in names}
    return np.array([numbers.get(unsided(name), -1) for name in ARKIT_NAMES])
