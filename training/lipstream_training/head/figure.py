"""An identity made flesh: its neutral head, cloth, hair and vertex paint, ready for the canvas."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .anatomy import Anatomy, neck_weight
from .canvas import SHADOW_SIZE, Canvas
from .hair import STYLES, grow, hairline
from .head_mesh import MASK_BOX
from .identity import Identity
from .paint import beard_region, paint_skin

Floats = NDArray[np.float32]

SHADOW_REACH = 1.9
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


@dataclass(frozen=True)
class Figure:
    """`neutral` (n,3) shared positions of the resting face; `centres`: the eyeballs' middles."""

    neutral: Floats
    centres: tuple[Floats, Floats]


def shadow_matrix(direction: Floats, middle: Floats) -> Floats:
    """An orthographic view (4,4) along -direction around `middle`, SHADOW_REACH wide."""
    forward = -np.asarray(direction, np.float32)
    up = np.array([0, 1, 0] if abs(forward[1]) < 0.9 else [0, 0, 1], np.float32)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    basis = np.stack([right, np.cross(right, forward), forward])
    scale = np.array([SHADOW_REACH, SHADOW_REACH, 3.5], np.float32)
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, :3] = basis / scale[:, None]
    matrix[:3, 3] = -(basis @ middle) / scale
    return matrix


def dress(anatomy: Anatomy, canvas: Canvas, identity: Identity, detail: float) -> Figure:
    """Shape the identity, put its cloth and hair on the canvas and paint everything (a few hundred ms).

    `detail` multiplies the number of hair locks (1 suits 256 pixels).
    """
    mesh = anatomy.mesh
    neutral = mesh.shaped(identity.morphs) + anatomy.settled
    normals = anatomy.normals.of(neutral)
    style = STYLES[identity.hair.style]
    line = hairline(mesh.template, style.recede * (0.6 + 0.8 * identity.hair.size))
    line = np.where(anatomy.outer | (mesh.template[:, 1] > 7.2), line, np.minimum(line, 0.02)).astype(
        np.float32
    )
    cloth, cloth_normals = _cloth(anatomy, canvas, identity, neutral, normals)
    rim = _hat_rim(mesh.template) if identity.hair.style == HAT else line
    grown = grow(mesh, neutral, identity.hair, rim, anatomy.outer, detail)
    canvas.wear_hair(grown, None if grown is None else neck_weight(grown.positions))
    sets = [(neutral, normals), (cloth, cloth_normals)]
    if grown is not None:
        sets.append((grown.positions, grown.normals))
    canvas.move(neutral, normals)
    ao = _occlusion(canvas, np.concatenate([p for p, _ in sets]), np.concatenate([n for _, n in sets]))
    n, m = len(neutral), len(neutral) + len(cloth)
    body = _smoothed(ao[:n], mesh.source[mesh.triangles])
    colour, gloss = paint_skin(mesh.template, anatomy.masks[:, 3], anatomy.masks[:, 2], identity)
    fur = beard_region(mesh.template, identity.beard)
    skin = np.column_stack([body, line, colour, gloss, fur]).astype(np.float32)
    canvas.paint(skin, ao[n:m], 0.25 + 0.75 * ao[m:])
    left, right = (neutral[rows].mean(0) for rows in anatomy.eyes)
    _uniforms(canvas, identity, style.cap, left, right)
    return Figure(neutral, (left, right))


def _hat_rim(template: Floats) -> Floats:
    """Height over a hat's rim (n,): a level ring above the ears, a little higher in front."""
    return np.asarray(
        template[:, 1] - 7.02 - 0.22 * np.clip((template[:, 2] - 0.2) / 1.0, -0.5, 1), np.float32
    )


def _cloth(
    anatomy: Anatomy, canvas: Canvas, identity: Identity, neutral: Floats, normals: Floats
) -> tuple[Floats, Floats]:
    mesh = anatomy.mesh
    heights = mesh.template[mesh.source[mesh.triangles]][:, :, 1]
    torso = (mesh.group[mesh.triangles] == 0).all(1) & (heights.max(1) < 5.9)
    rows, flat = np.unique(mesh.triangles[torso], return_inverse=True)
    source = mesh.source[rows]
    thick = 0.075 if identity.neck == "turtleneck" else 0.05
    points = neutral[source] + normals[source] * thick
    static = np.column_stack(
        [mesh.template[source], mesh.uv[rows], np.zeros((len(rows), 3)), anatomy.weight[source]]
    )
    canvas.wear_cloth(np.hstack([points, normals[source]]), static, flat.reshape(-1, 3).astype(np.int32))
    return points, normals[source]


def _occlusion(canvas: Canvas, points: Floats, normals: Floats, count: int = 26) -> Floats:
    """Share of the sky each point sees (n,), by depth maps from `count` directions, mostly above."""
    seen, total = np.zeros(len(points)), np.full(len(points), 1e-6)
    canvas.set({"head": np.eye(3), "pivot": (0.0, 0.0, 0.0), "shift": (0.0, 0.0, 0.0)})
    middle = np.array([0, 6.75, 0.45], np.float32)
    for direction in _sphere(count):
        matrix = shadow_matrix(direction, middle)
        canvas.cast(matrix)
        depth = canvas.depth()
        at = (points + normals * 0.03) @ matrix[:3, :3].T + matrix[:3, 3]
        cell = np.clip(((at[:, :2] * 0.5 + 0.5) * SHADOW_SIZE).astype(int), 0, SHADOW_SIZE - 1)
        facing = np.clip(normals @ direction, 0, 1) * (1.0 + 0.5 * direction[1])
        seen += facing * (at[:, 2] * 0.5 + 0.5 < depth[cell[:, 1], cell[:, 0]] + 0.002)
        total += facing
    return np.asarray(seen / total, np.float32)


def _smoothed(values: Floats, corners: NDArray[np.intp], times: int = 2) -> Floats:
    """Average values (n,) over neighbouring triangles."""
    count = np.bincount(corners.ravel(), minlength=len(values)) + 1e-6
    for _ in range(times):
        mean = np.repeat(values[corners].mean(1), 3)
        values = (np.bincount(corners.ravel(), mean, len(values)) / count).astype(np.float32)
    return values


def _sphere(count: int) -> list[Floats]:
    """Evenly spread unit directions (Fibonacci)."""
    k = np.arange(count) + 0.5
    y = 1 - 2 * k / count
    ring, turn = np.sqrt(1 - y * y), np.pi * (1 + 5**0.5) * k
    return [np.asarray(d, np.float32) for d in np.stack([ring * np.cos(turn), y, ring * np.sin(turn)], 1)]


def _uniforms(canvas: Canvas, identity: Identity, cap: float, left: Floats, right: Floats) -> None:
    hat = identity.hair.style == HAT
    shine = {"afro": 0.35, "crop": 0.7}.get(identity.hair.style, 1.0)
    brow = identity.brow
    kind, share = BEARDS[identity.beard]
    canvas.set(
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
