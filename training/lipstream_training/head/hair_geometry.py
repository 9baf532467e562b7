"""The geometry of hair: locks along paths, a swollen scalp under them, and the skull that they lie on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .head_mesh import HeadMesh

Floats = NDArray[np.float32]

CENTRE = np.array([0.0, 7.05, 0.35], np.float32)
"""Centre of the template's skull."""


@dataclass(frozen=True)
class HairGeometry:
    """Triangles of hair.

    Attributes:
        positions: (m, 3).
        normals: (m, 3).
        tangents: (m, 3) directions of the strands.
        strand: (m, 4) position across a lock in [-1, 1], along it in [0, 1], a random number in [0, 1], and the
            distance inside a hat's rim (1 for locks).
        triangles: (t, 3).
    """

    positions: Floats
    normals: Floats
    tangents: Floats
    strand: Floats
    triangles: NDArray[np.int32]


class Skull:
    """A smoothed radius of one person's head in every direction from its centre.

    Args:
        mesh: The head mesh.
        shape: (n, 3) neutral positions.
        outer: (n,) which of them are skin of the skull.
        moved: (3,) displacement of the head from the template.
    """

    def __init__(self, mesh: HeadMesh, shape: Floats, outer: NDArray[np.bool_], moved: Floats) -> None:
        self.centre = CENTRE + moved
        points = shape[outer] - self.centre
        radius = np.linalg.norm(points, axis=1)
        theta, phi = np.meshgrid(np.linspace(0, np.pi, 33), np.linspace(-np.pi, np.pi, 65), indexing="ij")
        grid = np.stack([np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)], -1)
        near = np.exp(260 * (grid.reshape(-1, 3) @ (points / radius[:, None]).T - 1)) + 1e-12
        self.grid = ((near @ radius) / near.sum(1)).reshape(33, 65)

    def radius(self, direction: Floats) -> Floats:
        """Return the radius (n,) of the head along unit vectors (n, 3)."""
        a = np.arccos(np.clip(direction[:, 1], -1, 1)) / np.pi * 32
        b = (np.arctan2(direction[:, 0], direction[:, 2]) / (2 * np.pi) + 0.5) * 64
        i, j = np.minimum(a.astype(int), 31), np.minimum(b.astype(int), 63)
        u, v = a - i, b - j
        g = self.grid
        low = g[i, j] * (1 - v) + g[i, j + 1] * v
        high = g[i + 1, j] * (1 - v) + g[i + 1, j + 1] * v
        return np.asarray(low * (1 - u) + high * u, np.float32)


def scalp_shell(
    mesh: HeadMesh, swollen: Floats, skull: Skull, line: Floats, outer: NDArray[np.bool_]
) -> HairGeometry:
    """Return the swollen triangles of the scalp: volume under the locks, or a hat.

    Args:
        mesh: The head mesh.
        swollen: (n, 3) positions of the swollen scalp.
        skull: The skull below it.
        line: (n,) distance inside the hairline.
        outer: (n,) which positions are skin of the skull.
    """
    corners = mesh.source[mesh.triangles]
    good = outer[corners].all(1) & (line[corners].max(1) > 0.0)
    rows, flat = np.unique(corners[good], return_inverse=True)
    points = swollen[rows]
    away = unit(points - skull.centre)
    triangles = flat.reshape(-1, 3).astype(np.int32)
    faces = np.cross(
        points[triangles[:, 1]] - points[triangles[:, 0]], points[triangles[:, 2]] - points[triangles[:, 0]]
    )
    normals = np.zeros_like(points)
    for k in range(3):
        np.add.at(normals, triangles[:, k], faces)
    normals = unit(unit(normals) + 0.5 * away)
    down = np.cross(np.cross(away, np.array([0.02, 1, 0.3], np.float32)), away)
    around = points - CENTRE
    spin = np.arctan2(around[:, 0], around[:, 2] + 0.5) * 6
    strand = np.stack(
        [spin, 0.3 + 0.3 * (points[:, 1] - CENTRE[1]), np.full(len(rows), 0.5), line[rows] * 0.9], 1
    )
    shaped = [np.ascontiguousarray(x, np.float32) for x in (points, normals, unit(down), strand)]
    return HairGeometry(shaped[0], shaped[1], shaped[2], shaped[3], triangles)


def concatenate_hair(first: HairGeometry, second: HairGeometry) -> HairGeometry:
    """Return both geometries as one."""
    return HairGeometry(
        np.concatenate([first.positions, second.positions]),
        np.concatenate([first.normals, second.normals]),
        np.concatenate([first.tangents, second.tangents]),
        np.concatenate([first.strand, second.strand]),
        np.concatenate([first.triangles, second.triangles + np.int32(len(first.positions))]),
    )


def ribbons(
    paths: Floats, skull: Skull, breadth: float, long: bool, rng: np.random.Generator
) -> HairGeometry:
    """Return flat bands along paths, tapered to the tip, with normals that lean out as if the bands were round.

    Args:
        paths: (locks, steps, 3) centre lines.
        skull: The skull that they lie on.
        breadth: Mean width in decimetres.
        long: Whether the locks are long; short ones taper more.
        rng: Varies the width.
    """
    count, steps, _ = paths.shape
    # Nearest first, so that hidden fragments are rejected before they are shaded.
    paths = paths[np.argsort(-paths[:, :, 2].mean(1))]
    tangent = unit(np.gradient(paths, axis=1))
    out = unit(paths - skull.centre)
    low = paths[..., 1] < skull.centre[1] - 0.5
    flat = out.copy()
    flat[..., 1] = 0
    out = np.where(low[..., None], unit(flat), out)
    normal = unit(out - tangent * (out * tangent).sum(-1, keepdims=True))
    across = np.cross(tangent, normal)
    along = np.linspace(0, 1, steps, dtype=np.float32)
    width = (
        breadth
        * rng.uniform(0.7, 1.25, (count, 1))
        * (0.55 + 0.45 * np.minimum(1, along * 3))
        * (1 - (0.8 if long else 0.9) * along**3)
    )
    half = (width * 0.5)[..., None].astype(np.float32)
    side = [paths - across * half, paths + across * half]
    lean = [unit(out - 0.5 * across), unit(out + 0.5 * across)]
    positions = np.stack(side, 2)
    normals = np.stack(lean, 2)
    tangents = np.repeat(tangent[:, :, None], 2, 2)
    chance = np.broadcast_to(rng.random((count, 1, 1)), (count, steps, 2))
    wide = np.broadcast_to(np.array([-1.0, 1.0]), (count, steps, 2))
    run = np.broadcast_to(along[None, :, None], (count, steps, 2))
    strand = np.stack([wide, run, chance, 0 * chance + 1], -1)
    first = (np.arange(count)[:, None] * steps + np.arange(steps - 1)[None]).reshape(-1, 1) * 2
    quad = np.array([[0, 1, 2], [1, 3, 2]])
    triangles = (first[:, :, None] + quad[None]).reshape(-1, 3)
    shaped = [
        np.ascontiguousarray(x.reshape(-1, x.shape[-1]), np.float32)
        for x in (positions, normals, tangents, strand)
    ]
    return HairGeometry(shaped[0], shaped[1], shaped[2], shaped[3], triangles.astype(np.int32))


def unit(vectors: Floats) -> Floats:
    """Return vectors (..., 3) scaled to length one."""
    return np.asarray(vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9), np.float32)
