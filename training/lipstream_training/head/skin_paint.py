"""Smooth skin colours, painted on the vertices once per person, in the template's coordinates."""

import numpy as np
from numpy.typing import NDArray

from .identity import PersonIdentity

Floats = NDArray[np.float32]

FULL_BEARDS = ("full", "short")


def linear(colour: tuple[float, float, float]) -> Floats:
    """Return the linear value (3,) of an sRGB colour, with the renderer's gamma of 2.0."""
    return np.square(np.asarray(colour, np.float32))


def _blob(q: Floats, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Floats:
    """Return a soft spot (n,) at points (n, 3), on both sides of the face and 1 at its centre."""
    mirrored = np.stack([np.abs(q[:, 0]), q[:, 1], q[:, 2]], 1)
    away = (mirrored - np.array(centre, np.float32)) / np.array(radii, np.float32)
    return np.asarray(np.exp(-(away**2).sum(1)), np.float32)


def _smoothstep(low: float, high: float, x: Floats) -> Floats:
    """Return a smooth step (n,) from 0 at ``low`` to 1 at ``high``."""
    at = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(at * at * (3 - 2 * at), np.float32)


def beard_region(q: Floats, kind: str) -> Floats:
    """Return the density (n,) in [0, 1] of a beard below the mouth at points (n, 3); the shader adds the moustache."""
    x, y, z = np.abs(q[:, 0]), q[:, 1], q[:, 2]
    chin = np.minimum(1, _blob(q, (0.0, 5.87, 1.33), (0.20, 0.19, 0.4)) * 1.5)
    rise = 6.22 + 0.42 * _smoothstep(0.28, 0.74, x) ** 2
    jaw = _smoothstep(-0.10, 0.14, rise - y) * _smoothstep(5.46, 5.66, y) * _smoothstep(0.42, 0.60, z)
    if kind in FULL_BEARDS:
        return np.asarray(np.maximum(jaw, chin), np.float32)
    return np.asarray(chin if kind == "goatee" else 0 * chin, np.float32)


def paint_skin(q: Floats, ears: Floats, eyelids: Floats, identity: PersonIdentity) -> tuple[Floats, Floats]:
    """Return linear skin colours (n, 3) and gloss (n,).

    Args:
        q: (n, 3) positions on the template head.
        ears: (n,) mask of the ears.
        eyelids: (n,) mask of the eyelids.
        identity: The person.
    """
    x, y, z = np.abs(q[:, 0]), q[:, 1], q[:, 2]
    skin = linear(identity.skin)
    dark = float(np.clip(1 - (skin.mean() - 0.04) / 0.40, 0, 1))
    flush = (
        0.55 * _blob(q, (0.43, 6.46, 1.12), (0.24, 0.19, 0.4))
        + 0.50 * _blob(q, (0.0, 6.47, 1.52), (0.15, 0.13, 0.16))
        + 0.30 * _blob(q, (0.0, 5.86, 1.34), (0.17, 0.12, 0.2))
        + 0.22 * _blob(q, (0.29, 6.80, 1.2), (0.24, 0.15, 0.3))
        + 0.45 * ears
    )
    amount = np.clip(flush * identity.blush, 0, 1) * (0.55 * (1 - dark) + 0.28 * dark)
    colour = skin * (1 + amount[:, None] * (np.array([1.03, 0.72, 0.68], np.float32) - 1))
    under = _blob(q, (0.27, 6.655, 1.24), (0.15, 0.055, 0.2)) * (0.5 + 0.8 * identity.age)
    colour = colour * (1 - under[:, None] * np.array([0.10, 0.16, 0.13], np.float32))
    colour = colour * (1 - eyelids[:, None] * np.array([0.08, 0.16, 0.15], np.float32))
    # A pale forehead, a redder middle and a cooler jaw: the three zones that painters use.
    warm = _smoothstep(6.95, 7.3, y)[:, None] * np.array([0.02, 0.035, 0.0], np.float32)
    colour = colour * (1 + warm)
    shade = (
        _smoothstep(6.42, 6.16, y - 0.22 * _smoothstep(0.3, 0.8, x))
        * _smoothstep(5.45, 5.7, y)
        * _smoothstep(0.40, 0.62, z)
    )
    stubble = (shade * identity.stubble * 0.62)[:, None]
    colour = colour * (1 - stubble) + stubble * (
        colour * np.array([0.64, 0.66, 0.72], np.float32) + 0.04 * linear(identity.hair.colour)
    )
    rng = np.random.default_rng(identity.hair.seed)
    waves = sum(np.sin(q @ rng.normal(0, 9, 3).astype(np.float32) + rng.uniform(0, 6)) for _ in range(6))
    colour = colour * (1 + 0.010 * np.asarray(waves)[:, None])
    gloss = (
        0.24
        + 0.16 * _blob(q, (0.0, 6.55, 1.5), (0.14, 0.25, 0.3))
        + 0.10 * _blob(q, (0.0, 7.2, 1.3), (0.4, 0.2, 0.4))
    )
    return np.asarray(colour, np.float32), np.asarray(gloss * (1 - 0.2 * dark), np.float32)
