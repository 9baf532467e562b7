"""Fréchet distance between two sets of features, each modelled as a Gaussian: FID and FVD."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A Gaussian.

    Attributes:
        mean: (D,).
        covariance: (D, D).
        count: Number of features that it was fitted to.
    """

    mean: Array
    covariance: Array
    count: int


class FeatureMoments:
    """Running sums of features, in memory that does not grow with their number."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: Array = np.zeros(0)
        self._products: Array = np.zeros((0, 0))

    def add(self, features: NDArray[np.float32]) -> None:
        """Add features (N, D)."""
        rows = features.astype(np.float64)
        if not self.count:
            self._sum, self._products = np.zeros(rows.shape[1]), np.zeros((rows.shape[1],) * 2)
        self.count += len(rows)
        self._sum += rows.sum(axis=0)
        self._products += rows.T @ rows

    def gaussian(self) -> Gaussian:
        """Fit a Gaussian; the covariance is divided by the number of features, as in StyleGAN's metrics."""
        mean = self._sum / max(self.count, 1)
        return Gaussian(mean, self._products / max(self.count, 1) - np.outer(mean, mean), self.count)


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """Return |mean difference|^2 + trace(A + B - 2 (A B)^1/2) for covariances A and B (Heusel et al. 2017).

    The trace of the root of A B is the sum of the singular values of A^1/2 B^1/2, which needs roots of
    symmetric matrices only.
    """
    overlap = np.linalg.svd(_root(a.covariance) @ _root(b.covariance), compute_uv=False).sum()
    mean_distance = np.square(a.mean - b.mean).sum()
    return float(max(0.0, mean_distance + np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap))


def _root(covariance: Array) -> Array:
    """Return the symmetric square root of (D, D)."""
    values, vectors = np.linalg.eigh(covariance)
    # Rounding leaves tiny negative values where there are fewer features than dimensions.
    root: Array = (vectors * np.sqrt(values.clip(0, None))) @ vectors.T
    return root
