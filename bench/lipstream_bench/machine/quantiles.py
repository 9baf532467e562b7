"""Quantiles of measurements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def quantiles(values: Sequence[float], shares: Sequence[float] = (0.5, 0.95, 0.99)) -> dict[str, float]:
    """Return nearest-rank quantiles as p50, p95 ...; empty without values."""
    if not values:
        return {}
    found = np.quantile(np.asarray(values), shares, method="inverted_cdf")
    return {f"p{share * 100:g}": round(float(value), 2) for share, value in zip(shares, found, strict=True)}
