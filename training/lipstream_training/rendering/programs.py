"""The compiled shader programs of the head renderer."""

from typing import Any

from .shaders import hair_fragment, read_shader, skin_fragment

PARTS = 5
"""Parts of the head with a program each: skin, eyes, teeth, tongue, lashes."""


class Programs:
    """All programs of one OpenGL context.

    Attributes:
        parts: Draw the parts of the head, and cloth last.
        hair: Draws hair.
        skin_depth: Draws the shadows of head and cloth.
        hair_depth: Draws the shadow of hair.
        backdrop: Draws the backdrop.
        flow: Draws the flow map.
    """

    def __init__(self, ctx: Any) -> None:
        skin, hair, depth = read_shader("skin.vert"), read_shader("hair.vert"), read_shader("depth.frag")

        def compiled(vertex: str, fragment: str) -> Any:
            return ctx.program(vertex_shader=vertex, fragment_shader=fragment)

        self.parts = [compiled(skin, skin_fragment(part)) for part in range(PARTS + 1)]
        self.hair = compiled(hair, hair_fragment())
        self.skin_depth = compiled(skin, depth)
        self.hair_depth = compiled(hair, depth)
        self.backdrop = compiled(read_shader("backdrop.vert"), read_shader("backdrop.frag"))
        self.flow = compiled(read_shader("flow.vert"), read_shader("flow.frag"))

    def all(self) -> list[Any]:
        """Return all programs."""
        return [*self.parts, self.hair, self.skin_depth, self.hair_depth, self.backdrop, self.flow]
