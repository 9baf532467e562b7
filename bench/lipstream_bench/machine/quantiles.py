"""Figures of many measurements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def quantiles(values: Sequence[float], shares: Sequence[float] = (0.5, 0.95, 0.99)) -> dict[str, float]:
    """p50, p95 ... of the values, none of them without values: each the smallest that is not smaller than its share."""
    if not values:
        return {}
    found = np.quantile(np.asarray(values), shares, method="inverted_cdf")
    return {f"p{share * 100:g}": round(float(value), 2) for share, value in zip(shares, found, strict=True)}
