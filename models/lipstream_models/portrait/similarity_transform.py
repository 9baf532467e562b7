"""Similarity transforms between point sets: rotation, uniform scale and translation (Umeyama 1991)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .region import Floats

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SimilarityTransform:
    """x -> scale * rotation @ x + translation, in D dimensions.

    Attributes:
        rotation: (D, D), without reflection.
        scale: Uniform scale.
        translation: (D,).
    """

    rotation: Doubles
    scale: float
    translation: Doubles

    @property
    def matrix(self) -> Doubles:
        """(D, D + 1): the transform as one affine matrix."""
        return np.concatenate([self.scale * self.rotation, self.translation[:, None]], axis=1)

    def apply(self, points: NDArray[np.floating]) -> Doubles:
        """Transform points: (..., D) -> (..., D)."""
        transformed: Doubles = self.scale * points @ self.rotation.T + self.translation
        return transformed


def fit_similarity(source: Floats, target: Floats, weights: Floats | None = None) -> SimilarityTransform:
    """Return the transform that brings `source` closest to `target` in weighted least squares.

    Args:
        source: (N, D) points.
        target: (N, D) points that they should come to.
        weights: (N,) non-negative weights; None weights all points equally.
    """
    a, b = source.astype(np.float64), target.astype(np.float64)
    w = np.ones(len(a)) if weights is None else weights.astype(np.float64)
    w = (w / w.sum())[:, None]
    centre_a, centre_b = (a * w).sum(axis=0), (b * w).sum(axis=0)
    a, b = a - centre_a, b - centre_b
    left, singular_values, right = np.linalg.svd(b.T @ (a * w))
    signs = np.ones(len(singular_values))
    signs[-1] = np.sign(np.linalg.det(left @ right))  # a rotation, never a reflection
    rotation = (left * signs) @ right
    scale = float((singular_values * signs).sum()) / max(float((a**2 * w).sum()), 1e-12)
    return SimilarityTransform(rotation, scale, centre_b - scale * rotation @ centre_a)


def align_points(points: Floats, target: Floats, weights: Floats | None = None) -> Floats:
    """Move (N, D) `points` onto (N, D) `target` by the closest similarity transform; (N, D)."""
    return fit_similarity(points, target, weights).apply(points).astype(np.float32)
