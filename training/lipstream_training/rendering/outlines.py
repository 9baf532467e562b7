"""The outlines of lips and teeth in an image, from the edges of their meshes.

Outlines are those of the whole meshes, visible or not: those of closed lips, which overlap a little, then change
into those of open lips without a jump.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

EDGE_POINTS = 9
"""Points along each mesh edge of lips and teeth; an edge is about 8 pixels long."""


def points_along(values: Floats, ends: NDArray[np.intp]) -> Floats:
    """Return values (n, ...) interpolated at `EDGE_POINTS` points along edges between rows (e, 2)."""
    share = np.linspace(0, 1, EDGE_POINTS, dtype=np.float32).reshape(-1, 1, *[1] * (values.ndim - 1))
    between = values[ends[:, 0]] * (1 - share) + values[ends[:, 1]] * share
    return between.reshape(-1, *values.shape[1:])


def upper_envelope(x: Floats, y: Floats, columns: Floats) -> Floats:
    """Return the largest y near each column.

    Columns without points are interpolated. Beyond all points the value grows by the distance from the last one.

    Args:
        x: (n,) positions of points.
        y: (n,) their values.
        columns: (c,) evenly spaced positions.
    """
    step = columns[1] - columns[0]
    highest = np.full(len(columns), -np.inf)
    np.maximum.at(highest, np.clip((x / step).astype(int), 0, len(columns) - 1), y)
    known = np.isfinite(highest)
    beyond = np.maximum(columns[known][0] - columns, columns - columns[known][-1]).clip(0)
    return np.asarray(np.interp(columns, columns[known], highest[known]) + beyond, np.float32)
