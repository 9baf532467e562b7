"""Hair as tapered locks that are grown over the skull, above a hairline that is painted on the scalp."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .hair_geometry import (
    CENTRE,
    HairGeometry,
    Skull,
    concatenate_hair,
    ribbons,
    scalp_shell,
    unit,
)
from .hair_styles import STYLES, HairStyle
from .head_mesh import HeadMesh
from .identity import Hair

Floats = NDArray[np.float32]

CROWN = np.array([0.0, 7.75, -0.05], np.float32)


def grow_hair(
    mesh: HeadMesh, shape: Floats, hair: Hair, line: Floats, outer: NDArray[np.bool_], detail: float = 1.0
) -> HairGeometry | None:
    """Return the geometry of a person's hair, or None for styles that are only painted.

    Args:
        mesh: The head mesh.
        shape: (n, 3) neutral positions of the person.
        hair: The person's hair.
        line: (n,) see `hairline`.
        outer: (n,) which positions are skin of the skull.
        detail: Factor on the number of locks.
    """
    style = STYLES[hair.style]
    style = replace(style, locks=int(style.locks * detail), width=style.width * detail**-0.6)
    rng = np.random.default_rng(hair.seed)
    moved = (shape[outer] - mesh.template[outer]).mean(0)
    skull = Skull(mesh, shape, outer, moved)
    # Skin below the hairline is sunk, so that the rim of the shell meets the face along the hairline.
    thick = np.where(
        line > 0, style.puff * (0.7 + 0.6 * hair.size) * _rise(line, style), np.maximum(line, -0.05)
    )
    swollen = shape + unit(shape - skull.centre) * thick[:, None].astype(np.float32)
    if style.locks == 0:
        # A hat: its lowest points are moved up to the rim, at the same distance from the head as the rest.
        swollen = shape + unit(shape - skull.centre) * np.float32(style.puff)
        swollen[:, 1] += np.where(line < 0, np.minimum(-line, 0.2), 0)
    under = scalp_shell(mesh, swollen, skull, line, outer) if style.puff else None
    if style.locks == 0:
        return under
    roots = _roots(mesh, swollen if style.flow == "afro" else shape, line, outer, style.locks, rng)
    if style.flow == "afro":
        skull = Skull(mesh, swollen, outer, moved)
    paths = _paths(roots, skull, style, hair, moved, rng)
    if style.flow == "bun":
        paths = np.concatenate([paths, _bun(skull, paths.shape[1], rng)])
    strands = ribbons(paths, skull, style.width, style.length > 1.5, rng)
    return strands if under is None else concatenate_hair(strands, under)


def _rise(line: Floats, style: HairStyle) -> Floats:
    """Return the relative thickness (n,) of the shell in [0, 1] at distances (n,) inside the hairline."""
    at = np.clip((line - 0.0) / (0.16 + 0.5 * style.puff), 0, 1)
    return np.asarray(np.sqrt(at * (2 - at)), np.float32)


def _roots(
    mesh: HeadMesh,
    shape: Floats,
    line: Floats,
    outer: NDArray[np.bool_],
    count: int,
    rng: np.random.Generator,
) -> Floats:
    """Return random positions (count, 3) on the scalp, evenly spread over its area."""
    corners = mesh.source[mesh.triangles]
    good = outer[corners].all(1) & (line[corners].min(1) > 0.015)
    corners = corners[good]
    a, b, c = (shape[corners[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    cumulative = np.cumsum(area) / area.sum()
    # Stratified over the area, so that no patch of scalp stays bare.
    pick = np.searchsorted(cumulative, (np.arange(count) + rng.random(count)) / count)
    pick = np.minimum(pick, len(corners) - 1)
    u, v = rng.random((2, count, 1)).astype(np.float32)
    fold = u + v > 1
    u, v = np.where(fold, 1 - u, u), np.where(fold, 1 - v, v)
    return np.asarray(a[pick] * (1 - u - v) + b[pick] * u + c[pick] * v, np.float32)


def _growth_direction(
    points: Floats, roots: Floats, style: HairStyle, hair: Hair, moved: Floats, turn: Floats
) -> Floats:
    """Return the direction (n, 3) in which hair grows at points (n, 3), before it is pressed to the skull.

    Args:
        points: (n, 3) ends of the locks so far.
        roots: (n, 3) roots of the locks.
        style: The hair style.
        hair: The person's hair.
        moved: (3,) displacement of the head from the template.
        turn: (n,) random numbers, one for each lock.
    """
    p = points - moved
    r = roots - moved
    one = np.ones(len(p), np.float32)
    if style.flow == "part":
        part = 0.16 * hair.side if hair.wave > 0.35 else 0.0
        away = np.tanh((r[:, 0] - part) * 9)
        front = np.clip((r[:, 2] - 0.35) / 0.7, 0, 1)
        below = np.clip((7.45 - p[:, 1]) / 0.6, 0, 1)
        back = -(0.35 + 0.75 * front) * (1 - 0.75 * below)
        flow = np.stack([away * (1.0 - below), -0.35 - 1.4 * below, back], -1)
        if hair.style == "fringe":
            flow[_fringe(r)] = np.array([0.0, -1.0, 0.25])
        return np.asarray(flow, np.float32)
    if style.flow == "side":
        swept = -hair.side * (0.9 + 0.2 * turn)
        top = np.clip((r[:, 1] - 7.25) / 0.35, 0, 1)
        return np.stack([swept * top, -0.15 * one - 0.8 * (1 - top), -0.9 + 0.3 * top], -1)
    if style.flow in ("back", "bun"):
        target = np.array([0.0, 7.30 if style.flow == "bun" else 6.7, -0.55], np.float32)
        return unit(target - p)
    if style.flow == "afro":
        curl = np.stack([np.sin(turn * 40), np.cos(turn * 31), np.sin(turn * 57 + 1)], -1)
        return np.asarray(unit(p - CENTRE) * 0.35 + curl, np.float32)
    ahead = unit(p - CROWN) * np.array([1, 0.3, 1], np.float32)
    ahead[:, 0] += 0.35 * hair.side * (p[:, 2] > 0.2)
    ahead[:, 1] -= 0.5 * (p[:, 1] < 7.3)
    return np.asarray(ahead, np.float32)


def _fringe(roots: Floats) -> NDArray[np.bool_]:
    """Return which roots (n, 3), relative to the template, fall over the forehead (n,)."""
    return np.asarray((roots[:, 2] > 0.80) & (np.abs(roots[:, 0]) < 0.50))


def _paths(
    roots: Floats, skull: Skull, style: HairStyle, hair: Hair, moved: Floats, rng: np.random.Generator
) -> Floats:
    """Return the centre lines (n, steps + 1, 3) of locks with roots (n, 3)."""
    count = len(roots)
    size = 0.75 + 0.5 * hair.size
    length = style.length * size * rng.uniform(0.78, 1.08, (count, 1))
    if style.flow in ("crop", "side", "back"):
        length = length * (0.25 + 0.75 * np.clip((roots[:, 1:2] - moved[1] - 6.5) / 0.6, 0, 1))
    if hair.style == "fringe":
        short = _fringe(roots - moved)
        length[short] = (roots[short, 1:2] - moved[1] - 7.10) * rng.uniform(0.85, 1.05, (int(short.sum()), 1))
    lift = (style.lift * (0.6 + 0.8 * hair.size) * rng.uniform(0.35, 1.0, count)).astype(np.float32)
    turn = rng.normal(0, 1, count).astype(np.float32)
    wave = 0.05 if hair.style == "wavy" else 0.014 * hair.wave
    phase = rng.uniform(0, 2 * np.pi, count)
    points = [roots]
    at = roots.copy()
    velocity = np.zeros_like(at)
    for k in range(style.steps):
        want = unit(_growth_direction(at, roots, style, hair, moved, turn * 0.35))
        velocity = unit(velocity * 0.35 + want + rng.normal(0, 0.05, want.shape).astype(np.float32))
        at = at + velocity * (length / style.steps).astype(np.float32)
        share = (k + 1) / style.steps
        at = _outside(
            at, skull, lift * np.float32(min(1.0, 0.35 + 0.217 * (k + 1))), moved, style.flow == "part"
        )
        if style.flow == "part" and wave > 0:
            swing = wave * np.sin(phase + (7.6 - at[:, 1]) * 9.0) * min(1.0, 2 * share)
            at = at + (
                unit(at - skull.centre) * np.float32(0.6) + np.array([0.5, 0, 0.5], np.float32)
            ) * swing[:, None].astype(np.float32)
        points.append(at.astype(np.float32))
    return np.stack(points, 1)


def _outside(points: Floats, skull: Skull, lift: Floats, moved: Floats, hanging: bool) -> Floats:
    """Return points (n, 3) pushed out of the head, the neck and the cheeks.

    Args:
        points: (n, 3).
        skull: The skull.
        lift: (n,) distances from the skull.
        moved: (3,) displacement of the head from the template.
        hanging: Whether the hair hangs freely below the ears.
    """
    away = points - skull.centre
    radius = np.linalg.norm(away, axis=1)
    direction = unit(away)
    nearest = skull.radius(direction) + lift
    upper = points[:, 1] - moved[1] > 6.25
    # Hair follows the skull down to the ears; long hair hangs freely below them.
    loose = hanging * np.clip((6.95 - points[:, 1] + moved[1]) / 0.35, 0, 1)
    farthest = skull.radius(direction) + np.maximum(lift * 1.25, 0.02) + loose
    limited = np.clip(radius, nearest, farthest)
    at = np.where(upper[:, None], skull.centre + direction * limited[:, None], points)
    p = at - moved
    face = (p[:, 2] > 0.55) & (p[:, 1] < 7.2)
    # Keep falling hair beside the cheeks and behind their front.
    at[:, 2] = np.where(face, at[:, 2] - 0.5 * (p[:, 2] - 0.55), at[:, 2])
    flat = at - moved
    ring = np.hypot(flat[:, 0], flat[:, 2] - 0.18)
    near = (flat[:, 1] < 6.5) & (ring < 0.72 + lift)
    grow_by = np.where(near, (0.72 + lift) / (ring + 1e-6), 1.0)
    at[:, 0] = flat[:, 0] * grow_by + moved[0]
    at[:, 2] = (flat[:, 2] - 0.18) * grow_by + 0.18 + moved[2]
    return np.asarray(at, np.float32)


def _bun(skull: Skull, steps: int, rng: np.random.Generator) -> Floats:
    """Return the paths (60, steps, 3) of a wound knot behind the crown, high enough to be visible from the front."""
    middle = skull.centre + np.array([0.0, 0.78, -0.42], np.float32)
    count = 60
    angle = rng.uniform(0, 2 * np.pi, (count, 1)) + np.linspace(0, 2.2, steps)[None]
    tilt = rng.uniform(-0.9, 0.9, (count, 1))
    radius = 0.30 * np.cos(tilt) + 0.02
    x, y = radius * np.cos(angle), 0.30 * np.sin(tilt) + 0 * angle
    z = radius * np.sin(angle)
    return np.asarray(np.stack([x, y, z], -1) + middle, np.float32)
