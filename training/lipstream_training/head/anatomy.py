"""The anatomy of the head mesh: which points are eyes, lips, teeth and skull, and how they follow the neck."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .head_mesh import GROUPS, MASK_BOX, HeadMesh

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]

LANDMARK_POSITIONS = {
    "lip_upper": (0.0, 6.183, 1.382),
    "lip_lower": (0.0, 6.184, 1.390),
    "nose": (0.0, 6.46, 1.56),
    "chin": (0.0, 5.80, 1.27),
    "eye_left": (0.288, 6.795, 1.28),
    "eye_right": (-0.288, 6.795, 1.28),
    "mouth_left": (0.22, 6.18, 1.26),
    "mouth_right": (-0.22, 6.18, 1.26),
    "forehead": (0.0, 7.45, 1.35),
}
"""Positions of landmarks on the template head in decimetres; left is the person's left."""
LIP_LINE = 6.185
"""Height of the line between the closed lips in decimetres."""
LIP_DROP = 0.115
"""Decimetres by which an opening jaw moves the lower lip at least."""
LINING_THRESHOLD = 0.5
"""Value of the mouth-lining mask above which a point is inside the mouth."""


class NormalEstimator:
    """Computes smooth vertex normals of the shared positions, by sorted segment sums.

    Args:
        corners: (t, 3) rows of each triangle's corners.
        count: Number of positions.
    """

    def __init__(self, corners: Rows, count: int) -> None:
        flat = corners.ravel()
        self.corners = corners
        self.count = count
        self.order = np.argsort(flat, kind="stable") // 3
        self.present, self.starts = np.unique(np.sort(flat), return_index=True)

    def estimate(self, points: Floats) -> Floats:
        """Return the unit normals (n, 3) of points (n, 3)."""
        a, b, c = (points[self.corners[:, k]] for k in range(3))
        faces = np.cross(b - a, c - a)
        summed = np.zeros((self.count, 3), np.float32)
        summed[self.present] = np.add.reduceat(faces[self.order], self.starts, axis=0)
        return np.asarray(summed / (np.linalg.norm(summed, axis=1, keepdims=True) + 1e-12), np.float32)


def neck_weight(points: Floats) -> Floats:
    """Return how much points (n, 3) follow the head's rotation (n,): 0 at the collar bone, 1 at the jaw."""
    at = np.clip((points[:, 1] - 5.05 + 0.30 * np.clip(0.5 - points[:, 2], -0.6, 0.4)) / 0.85, 0, 1)
    return np.asarray(at * at * (3 - 2 * at), np.float32)


def position_masks(mesh: HeadMesh) -> Floats:
    """Return the mask values (n, 4) in [0, 1] of each shared position, 0 outside the head's UV island."""
    left, low, right, high = MASK_BOX
    u, v = (mesh.uv[:, 0] - left) / (right - left), (mesh.uv[:, 1] - low) / (high - low)
    rows, columns = mesh.masks.shape[:2]
    inside = (u >= 0) & (u < 1) & (v >= 0) & (v < 1)
    i = np.clip(((1 - v) * rows).astype(int), 0, rows - 1)
    j = np.clip((u * columns).astype(int), 0, columns - 1)
    out = np.zeros((len(mesh.base), 4), np.float32)
    out[mesh.source] = mesh.masks[i, j] * inside[:, None] / 255.0
    return out


@dataclass(frozen=True)
class Anatomy:
    """Properties of the mesh that are the same for every person.

    Attributes:
        mesh: The mesh.
        normals: Computes its normals.
        eyes: Rows of the left and of the right eyeball.
        local: (n, 3) eyeballs: coordinates on the unit sphere; lashes: distance from the lid (0 root, 1 tip) and
            whether it is the lower lid.
        weight: (n,), see `neck_weight`.
        masks: (n, 4) lips, mouth lining, eyelids, ears.
        outer: (n,) skin of head and neck without ears and mouth.
        corrections: (n, 3) displacements of teeth, tongue, lining and lips, the same for everybody.
        landmarks: Row of each landmark.
        lip_rows: Rows of the lips.
        face_rows: Rows of the face below the hairline.
        lips: Mesh edges (e, 2) of the upper and of the lower lip.
        teeth: Mesh edges (e, 2) of the upper and of the lower teeth.
    """

    mesh: HeadMesh
    normals: NormalEstimator
    eyes: tuple[Rows, Rows]
    local: Floats
    weight: Floats
    masks: Floats
    outer: NDArray[np.bool_]
    corrections: Floats
    landmarks: dict[str, int]
    lip_rows: Rows
    face_rows: Rows
    lips: tuple[Rows, Rows]
    teeth: tuple[Rows, Rows]

    @classmethod
    def from_mesh(cls, mesh: HeadMesh) -> "Anatomy":
        """Return the anatomy of a mesh (about 50 ms)."""
        t, group = mesh.template, mesh.position_group
        masks = position_masks(mesh)
        outer = (group == 0) & (t[:, 1] > 5.75) & (masks[:, 1] < 0.35) & (masks[:, 3] < 0.24)
        eye_code = GROUPS.index("eye")
        left, right = (np.flatnonzero((group == eye_code) & (np.sign(t[:, 0]) == side)) for side in (1, -1))
        landmarks = {
            name: int(np.argmin(((t - np.array(p, np.float32)) ** 2).sum(1)))
            for name, p in LANDMARK_POSITIONS.items()
        }
        return cls(
            mesh=mesh,
            normals=NormalEstimator(mesh.source[mesh.triangles], len(mesh.base)),
            eyes=(left, right),
            local=_eye_coordinates(t, group, (left, right)),
            weight=neck_weight(t),
            masks=masks,
            outer=outer,
            corrections=_corrections(mesh, group, masks),
            landmarks=landmarks,
            lip_rows=np.flatnonzero(masks[:, 0] > 0.5),
            face_rows=np.flatnonzero(outer & (t[:, 1] < 7.47) & (t[:, 2] > 0.75)),
            lips=_lip_edges(mesh, masks),
            teeth=_teeth_edges(mesh),
        )


def _mesh_edges(mesh: HeadMesh, triangles: NDArray[np.bool_]) -> Rows:
    """Return the edges (e, 2) of chosen triangles (t,), each once."""
    corners = mesh.source[mesh.triangles[triangles]]
    return np.unique(np.sort(corners[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)


def _lip_edges(mesh: HeadMesh, masks: Floats) -> tuple[Rows, Rows]:
    """Return `Anatomy.lips` for masks (n, 4)."""
    lip, lining = (masks[mesh.source[mesh.triangles], i].mean(axis=1) for i in (0, 1))
    skin = mesh.group[mesh.triangles[:, 0]] == GROUPS.index("skin")
    return _split_by_jaw(mesh, skin & (lip > 0.5) & (lining <= LINING_THRESHOLD), LIP_DROP)


def _teeth_edges(mesh: HeadMesh) -> tuple[Rows, Rows]:
    """Return `Anatomy.teeth`."""
    return _split_by_jaw(mesh, mesh.group[mesh.triangles[:, 0]] == GROUPS.index("teeth"), 0.0)


def _split_by_jaw(mesh: HeadMesh, triangles: NDArray[np.bool_], drop: float) -> tuple[Rows, Rows]:
    """Return two groups of edges (e, 2) of chosen triangles: upper ones, and lower ones that an opening jaw moves.

    Args:
        mesh: The mesh.
        triangles: (t,) the chosen triangles.
        drop: Decimetres that a lower point moves down at least.
    """
    edges, jaw = _mesh_edges(mesh, triangles), mesh.units["jawOpen"]
    lower = np.zeros(len(mesh.base), bool)
    lower[jaw.rows] = jaw.moves[:, 1] < -drop
    return edges[(~lower[edges]).all(axis=1)], edges[lower[edges].all(axis=1)]


def _eye_coordinates(t: Floats, group: NDArray[np.uint8], eyes: tuple[Rows, Rows]) -> Floats:
    """Return `Anatomy.local` (n, 3) for template positions t (n, 3) in groups (n,)."""
    local = np.zeros_like(t)
    for rows in eyes:
        low, high = t[rows].min(0), t[rows].max(0)
        local[rows] = (t[rows] - (low + high) / 2) / ((high - low).max() / 2)
    lash = np.flatnonzero(group == GROUPS.index("lash"))
    away = np.sqrt(((t[lash, None] - t[group == 0][None]) ** 2).sum(-1).min(1))
    local[lash, 0] = np.clip(away / 0.05, 0, 1)
    local[lash, 1] = t[lash, 1] < 6.778
    return local


def _corrections(mesh: HeadMesh, group: NDArray[np.uint8], masks: Floats) -> Floats:
    """Return `Anatomy.corrections` (n, 3) for positions in groups (n,) with masks (n, 4)."""
    t = mesh.template
    corrections = np.zeros_like(t)
    # The stock teeth sit high and the tongue fills the mouth: lower them a little.
    corrections[group == GROUPS.index("teeth"), 1] = -0.045
    corrections[group == GROUPS.index("tongue"), 1] = -0.055
    # Keep the mouth's lining well behind the lips and chin, whatever the person.
    corrections[:, 2] -= 0.045 * masks[:, 1] * np.clip((1.37 - t[:, 2]) / 0.05, 0, 1)
    # The stock lips leave a slit towards the corners: let the lower one overlap the upper one slightly.
    dropped = np.zeros(len(t), np.float32)
    jaw = mesh.units["jawOpen"]
    dropped[jaw.rows] = jaw.moves[:, 1]
    away = np.abs(t[:, 1] - LIP_LINE)
    inner = (group == 0) & (np.abs(t[:, 0]) < 0.21) & (t[:, 2] > 1.24) & (away < 0.035)
    share = inner * np.clip(1.4 - away / 0.025, 0, 1) * np.clip(np.abs(t[:, 0]) / 0.12, 0.35, 1)
    corrections[:, 1] += share * np.where(dropped < -0.1, 0.011, -0.004)
    return corrections
