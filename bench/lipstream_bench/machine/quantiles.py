"""Quantiles of measurements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def quantiles(values: Sequence[float], shares: Sequence[float] = (0.5, 0.95, 0.99)) -> dict[str, float]:
    """Return p50, p95 ... of the values: each the smallest value that its share of values does not exceed.

    Without values the result is empty.
    """
    if not values:
        return {}
    results = np.quantile(np.asarray(values), shares, method="inverted_cdf")
    return {f"p{share * 100:g}": round(float(value), 2) for share, value in zip(shares, results, strict=True)}
