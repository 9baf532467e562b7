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
"""Decimetres per int16 step of the packed targets (0.05 mm)."""


class HeadError(LipstreamError):
    """The head asset is missing, or does not have what was asked for."""


def asset_path() -> Path:
    """Return the path of the committed asset."""
    return Path(__file__).parents[1] / "assets" / "head.npz"


@dataclass(frozen=True)
class MorphTarget:
    """A sparse displacement of the mesh.

    Attributes:
        rows: (k,) the rows of the position array that move.
        moves: (k, 3) their displacements in decimetres.
    """

    rows: NDArray[np.intp]
    moves: Floats


@dataclass(frozen=True)
class HeadMesh:
    """The mesh: n shared positions, and m render vertices that refer to them, because UV seams are split.

    Attributes:
        base: (n, 3) positions that morph targets are added to, in decimetres.
        template: (n, 3) positions of an average head, which the constants of the renderer refer to.
        source: (m,) position of each render vertex.
        uv: (m, 2) texture coordinates.
        group: (m,) index into `GROUPS`.
        triangles: (t, 3) render vertices.
        masks: (H, W, 4) textures named in `MASKS`, 0 to 255.
        units: ARKit blendshapes.
        macros: Targets of ancestry, sex, age and weight.
        details: Targets of single features.
    """

    base: Floats
    template: Floats
    source: NDArray[np.intp]
    uv: Floats
    group: NDArray[np.uint8]
    triangles: NDArray[np.int32]
    masks: NDArray[np.uint8]
    units: dict[str, MorphTarget]
    macros: dict[str, MorphTarget]
    details: dict[str, MorphTarget]

    @classmethod
    def load(cls, path: Path | None = None) -> "HeadMesh":
        """Return the mesh in an npz file, the committed one by default (about 50 ms).

        Raises:
            HeadError: There is no such file.
        """
        path = path or asset_path()
        if not path.is_file():
            raise HeadError(
                f"expected the head asset at {path}, found none; run python -m lipstream_training.head.head_asset"
            )
        with np.load(path) as arrays:
            return cls(
                base=arrays["base"],
                template=arrays["template"],
                source=arrays["source"].astype(np.intp),
                uv=arrays["uv"].astype(np.float32),
                group=arrays["group"],
                triangles=arrays["triangles"].astype(np.int32),
                masks=arrays["masks"],
                units=_unpack_targets(arrays, "unit"),
                macros=_unpack_targets(arrays, "macro"),
                details=_unpack_targets(arrays, "detail"),
            )

    @property
    def position_group(self) -> NDArray[np.uint8]:
        """Group code (n,) of every shared position."""
        codes = np.zeros(len(self.base), np.uint8)
        codes[self.source] = self.group
        return codes

    def shaped(self, weights: dict[str, float]) -> Floats:
        """Return the neutral face (n, 3) of a person: the base plus weighted macro and detail targets.

        Raises:
            HeadError: A name is not that of a target.
        """
        shape = self.base.copy()
        for name, weight in weights.items():
            target = self.macros.get(name) or self.details.get(name)
            if target is None:
                raise HeadError(f"expected a macro or detail target of the asset, got {name!r}")
            shape[target.rows] += weight * target.moves
        return shape


def _unpack_targets(arrays: "np.lib.npyio.NpzFile", prefix: str) -> dict[str, MorphTarget]:
    rows = arrays[f"{prefix}_rows"].astype(np.intp)
    moves = arrays[f"{prefix}_moves"].astype(np.float32) * np.float32(QUANTUM)
    ends = arrays[f"{prefix}_ends"]
    return {
        str(name): MorphTarget(rows[ends[i] : ends[i + 1]], moves[ends[i] : ends[i + 1]])
        for i, name in enumerate(arrays[f"{prefix}_names"])
    }
