"""A person on the canvas: the neutral head, cloth, hair and vertex paint."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..head.anatomy import Anatomy, neck_weight
from ..head.hair import grow_hair
from ..head.hair_styles import STYLES, hairline
from ..head.head_mesh import MASK_BOX
from ..head.identity import PersonIdentity
from ..head.skin_paint import beard_region, paint_skin
from .canvas import Canvas
from .render_targets import SHADOW_SIZE

Floats = NDArray[np.float32]

SHADOW_REACH = 1.9
"""Half the width of the shadow map in decimetres."""
HAT = "beanie"
NECKLINES = {
    "tee": (5.22, 5.42, 1.0, 0.06),
    "crew": (5.28, 5.46, 1.0, 0.0),
    "shirt": (5.25, 5.52, 1.0, 0.25),
    "turtleneck": (5.52, 5.66, 0.0, 0.0),
    "vneck": (5.20, 5.44, 1.0, 0.30),
}
"""Height of the neckline in front and behind, whether it has a band, depth of the V; template decimetres."""
BEARDS = {
    "none": (0.0, 0.0),
    "full": (1.0, 0.92),
    "short": (1.0, 0.6),
    "goatee": (2.0, 0.85),
    "moustache": (3.0, 0.85),
}
"""The skin shader's code of each beard, and its density."""


@dataclass(frozen=True)
class Figure:
    """A person's shape.

    Attributes:
        neutral: (n, 3) shared positions of the resting face.
        eye_centres: Centres (3,) of the left and right eyeball.
    """

    neutral: Floats
    eye_centres: tuple[Floats, Floats]


def shadow_matrix(direction: Floats, centre: Floats) -> Floats:
    """Return the orthographic view (4, 4) against a direction (3,), around a centre (3,)."""
    forward = -np.asarray(direction, np.float32)
    up = np.array([0, 1, 0] if abs(forward[1]) < 0.9 else [0, 0, 1], np.float32)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    basis = np.stack([right, np.cross(right, forward), forward])
    scale = np.array([SHADOW_REACH, SHADOW_REACH, 3.5], np.float32)
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, :3] = basis / scale[:, None]
    matrix[:3, 3] = -(basis @ centre) / scale
    return matrix


def build_figure(anatomy: Anatomy, canvas: Canvas, identity: PersonIdentity, detail: float) -> Figure:
    """Shape a person, put cloth and hair on the canvas and paint everything (a few hundred milliseconds).

    Args:
        anatomy: The head.
        canvas: The canvas to draw on.
        identity: The person.
        detail: Factor on the number of hair locks (1 suits 256 pixels).
    """
    mesh = anatomy.mesh
    neutral = mesh.shaped(identity.morphs) + anatomy.corrections
    normals = anatomy.normals.estimate(neutral)
    style = STYLES[identity.hair.style]
    line = hairline(mesh.template, style.recede * (0.6 + 0.8 * identity.hair.size))
    hairy = anatomy.outer | (mesh.template[:, 1] > 7.2)
    line = np.where(hairy, line, np.minimum(line, 0.02)).astype(np.float32)
    cloth, cloth_normals = _set_cloth(anatomy, canvas, identity, neutral, normals)
    rim = _hat_rim(mesh.template) if identity.hair.style == HAT else line
    hair = grow_hair(mesh, neutral, identity.hair, rim, anatomy.outer, detail)
    canvas.set_hair(hair, None if hair is None else neck_weight(hair.positions))
    sets = [(neutral, normals), (cloth, cloth_normals)]
    if hair is not None:
        sets.append((hair.positions, hair.normals))
    canvas.set_vertices(neutral, normals)
    points, point_normals = (np.concatenate(arrays) for arrays in zip(*sets, strict=True))
    ambient = _ambient_occlusion(canvas, points, point_normals)
    n, m = len(neutral), len(neutral) + len(cloth)
    body = _smoothed(ambient[:n], mesh.source[mesh.triangles])
    colour, gloss = paint_skin(mesh.template, anatomy.masks[:, 3], anatomy.masks[:, 2], identity)
    beard = beard_region(mesh.template, identity.beard)
    skin = np.column_stack([body, line, colour, gloss, beard]).astype(np.float32)
    canvas.set_paint(skin, ambient[n:m], 0.25 + 0.75 * ambient[m:])
    left, right = (neutral[rows].mean(0) for rows in anatomy.eyes)
    _set_appearance(canvas, identity, style.cap, left, right)
    return Figure(neutral, (left, right))


def _hat_rim(template: Floats) -> Floats:
    """Return the height (n,) of points (n, 3) above a hat's rim: a ring above the ears, a little higher in front."""
    return np.asarray(
        template[:, 1] - 7.02 - 0.22 * np.clip((template[:, 2] - 0.2) / 1.0, -0.5, 1), np.float32
    )


def _set_cloth(
    anatomy: Anatomy, canvas: Canvas, identity: PersonIdentity, neutral: Floats, normals: Floats
) -> tuple[Floats, Floats]:
    """Put cloth over the torso of positions (n, 3) with normals (n, 3); return its positions and normals (m, 3)."""
    mesh = anatomy.mesh
    heights = mesh.template[mesh.source[mesh.triangles]][:, :, 1]
    torso = (mesh.group[mesh.triangles] == 0).all(1) & (heights.max(1) < 5.9)
    rows, flat = np.unique(mesh.triangles[torso], return_inverse=True)
    source = mesh.source[rows]
    thickness = 0.075 if identity.neck == "turtleneck" else 0.05
    points = neutral[source] + normals[source] * thickness
    static = np.column_stack(
        [mesh.template[source], mesh.uv[rows], np.zeros((len(rows), 3)), anatomy.weight[source]]
    )
    canvas.set_cloth(np.hstack([points, normals[source]]), static, flat.reshape(-1, 3).astype(np.int32))
    return points, normals[source]


def _ambient_occlusion(canvas: Canvas, points: Floats, normals: Floats, count: int = 26) -> Floats:
    """Return the share (n,) of the sky that points (n, 3) with normals (n, 3) see, mostly of its upper half.

    Measured with shadow maps from ``count`` directions.
    """
    visible, total = np.zeros(len(points)), np.full(len(points), 1e-6)
    canvas.set_uniforms({"head": np.eye(3), "pivot": (0.0, 0.0, 0.0), "shift": (0.0, 0.0, 0.0)})
    centre = np.array([0, 6.75, 0.45], np.float32)
    for direction in _sphere_directions(count):
        matrix = shadow_matrix(direction, centre)
        canvas.draw_shadow_map(matrix)
        depth = canvas.read_shadow_map()
        at = (points + normals * 0.03) @ matrix[:3, :3].T + matrix[:3, 3]
        cell = np.clip(((at[:, :2] * 0.5 + 0.5) * SHADOW_SIZE).astype(int), 0, SHADOW_SIZE - 1)
        facing = np.clip(normals @ direction, 0, 1) * (1.0 + 0.5 * direction[1])
        visible += facing * (at[:, 2] * 0.5 + 0.5 < depth[cell[:, 1], cell[:, 0]] + 0.002)
        total += facing
    return np.asarray(visible / total, np.float32)


def _smoothed(values: Floats, corners: NDArray[np.intp], times: int = 2) -> Floats:
    """Return values (n,) averaged over the triangles (t, 3) around each position."""
    count = np.bincount(corners.ravel(), minlength=len(values)) + 1e-6
    for _ in range(times):
        mean = np.repeat(values[corners].mean(1), 3)
        values = (np.bincount(corners.ravel(), mean, len(values)) / count).astype(np.float32)
    return values


def _sphere_directions(count: int) -> list[Floats]:
    """Return evenly spread unit vectors (3,) (Fibonacci sphere)."""
    k = np.arange(count) + 0.5
    y = 1 - 2 * k / count
    ring, turn = np.sqrt(1 - y * y), np.pi * (1 + 5**0.5) * k
    return [np.asarray(d, np.float32) for d in np.stack([ring * np.cos(turn), y, ring * np.sin(turn)], 1)]


def _set_appearance(
    canvas: Canvas, identity: PersonIdentity, cap: float, left: Floats, right: Floats
) -> None:
    """Set the uniforms of a person with eyeballs at ``left`` and ``right`` (3,)."""
    hat = identity.hair.style == HAT
    shine = {"afro": 0.35, "crop": 0.7}.get(identity.hair.style, 1.0)
    brow = identity.brow
    kind, share = BEARDS[identity.beard]
    canvas.set_uniforms(
        {
            "lips": identity.lips,
            "iris": identity.iris,
            "brow_col": brow.colour,
            "cloth": identity.cloth,
            "cloth2": identity.cloth_second,
            "brow": (brow.lift, brow.arch, brow.thick, brow.density),
            "beard": (kind, identity.stubble, share, 0.0),
            "cap": (cap, 1.0, 1.0),
            "neckline": NECKLINES[identity.neck],
            "look": (identity.blush, identity.freckles, identity.lashes, identity.age),
            "eye_l": left,
            "eye_r": right,
            "hair": identity.hair.colour,
            "strand_col": identity.cloth_second if hat else identity.hair.colour,
            "mask_box": MASK_BOX,
            "hair_look": (0.0 if hat else shine, float(hat), 0.0, 0.0),
            "lip_look": (identity.lip_tint, identity.gloss),
        }
    )
