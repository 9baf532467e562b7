"""The head asset in memory: geometry, blendshapes, identity targets and masks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lipstream_models.errors import LipstreamError

Floats = NDArray[np.float32]

GROUPS = ("skin", "eye", "teeth", "tongue", "lash")
MASKS = ("lips", "inside-mouth", "eyelids", "ears")
MASK_BOX = (0.70, 0.0, 1.0, 0.68)
"""Left, low, right, high of the head's island in the base mesh's UV square."""
QUANTUM = 5e-4
"""Decimetres per int16 step in the packed targets (0.05 mm)."""


class HeadError(LipstreamError):
    """The head asset is missing or asked for something it does not have."""


def asset_path() -> Path:
    """Where the committed asset lies."""
    return Path(__file__).parents[1] / "assets" / "head.npz"


@dataclass(frozen=True)
class Target:
    """A sparse displacement: `rows` of the position array move by `moves` decimetres."""

    rows: NDArray[np.intp]
    moves: Floats


@dataclass(frozen=True)
class HeadMesh:
    """Positions (n,3) are shared; render vertices (m) point at them through `source` (UV seams are split)."""

    base: Floats
    template: Floats
    source: NDArray[np.intp]
    uv: Floats
    group: NDArray[np.uint8]
    triangles: NDArray[np.int32]
    masks: NDArray[np.uint8]
    units: dict[str, Target]
    macros: dict[str, Target]
    details: dict[str, Target]

    @classmethod
    def load(cls, path: Path | None = None) -> "HeadMesh":
        """Read the npz (about 50 ms)."""
        path = path or asset_path()
        if not path.is_file():
            raise HeadError(
                f"expected the head asset at {path}, found none; run python -m lipstream_training.head.head_asset"
            )
        with np.load(path) as held:
            return cls(
                base=held["base"],
                template=held["template"],
                source=held["source"].astype(np.intp),
                uv=held["uv"].astype(np.float32),
                group=held["group"],
                triangles=held["triangles"].astype(np.int32),
                masks=held["masks"],
                units=_unpack(held, "unit"),
                macros=_unpack(held, "macro"),
                details=_unpack(held, "detail"),
            )

    @property
    def position_group(self) -> NDArray[np.uint8]:
        """Group code of every shared position (n,)."""
        codes = np.zeros(len(self.base), np.uint8)
        codes[self.source] = self.group
        return codes

    def shaped(self, weights: dict[str, float]) -> Floats:
        """The neutral face of an identity: base plus weighted macro and detail targets, (n,3)."""
        shape = self.base.copy()
        for name, weight in weights.items():
            target = self.macros.get(name) or self.details.get(name)
            if target is None:
                raise HeadError(f"expected a macro or detail target of the asset, got {name!r}")
            shape[target.rows] += weight * target.moves
        return shape


def _unpack(held: "np.lib.npyio.NpzFile", prefix: str) -> dict[str, Target]:
    rows = held[f"{prefix}_rows"].astype(np.intp)
    moves = held[f"{prefix}_moves"].astype(np.float32) * np.float32(QUANTUM)
    ends = held[f"{prefix}_ends"]
    return {
        str(name): Target(rows[ends[i] : ends[i + 1]], moves[ends[i] : ends[i + 1]])
        for i, name in enumerate(held[f"{prefix}_names"])
    }
