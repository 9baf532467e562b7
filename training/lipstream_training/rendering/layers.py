"""Layers of triangles that are drawn beside the head, and the layouts of their vertex buffers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
AttributeLayout = Sequence[tuple[str, tuple[str, ...]]]

SKIN_LAYOUT = [
    ("3f 3f", ("pos", "nrm")),
    ("3f 2f 3f 1f", ("q", "uv", "eye", "weight")),
    ("1f 1f 4f 1f", ("ao", "scalp", "paint", "fur")),
]
"""Formats and names of the vertex attributes in each buffer of skin and cloth."""
HAIR_LAYOUT = [("3f 3f 3f 4f 1f", ("pos", "nrm", "tan_", "strand", "weight")), ("1f", ("ao",))]
"""Formats and names of the vertex attributes in each buffer of hair."""
PORTRAIT_LAYOUT = ("2f", ("portrait_xy",))
"""The buffer of positions in the portrait, which the flow map shows."""


class Layer:
    """Cloth or hair: triangles that follow the head without expressions.

    Args:
        points: (m, 3) positions at rest.
        weight: (m,) neck weights, see `neck_weight`.
        drawn: Vertex array that draws the layer.
        shadow: Vertex array that draws its shadow.
        flow: Vertex array that draws its part of the flow map.
        buffers: All buffers; the last one has the positions in the portrait.
    """

    def __init__(
        self, points: Floats, weight: Floats, drawn: Any, shadow: Any, flow: Any, buffers: list[Any]
    ) -> None:
        self.points, self.weight = points, weight
        self.drawn, self.shadow, self.flow, self.buffers = drawn, shadow, flow, buffers

    def set_portrait_positions(self, positions: Floats) -> None:
        """Set the position (m, 2) of every point in the portrait, in pixels."""
        self.buffers[-1].write(np.ascontiguousarray(positions, np.float32).tobytes())

    def release(self) -> None:
        """Release the GPU's memory."""
        for resource in (self.drawn, self.shadow, self.flow, *self.buffers):
            resource.release()
