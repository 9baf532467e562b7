"""The framebuffers and textures that the head renderer draws to and reads from."""

from typing import Any

import moderngl

SHADOW_SIZE = 512
"""Pixels per side of the shadow map."""
FLOW_SIZE = 64
"""Cells per side of the flow map."""


class RenderTargets:
    """All framebuffers and textures of one OpenGL context.

    Attributes:
        multisampled: Framebuffer that a frame is drawn to.
        resolved: Framebuffer that a frame is read from.
        flow_map: Framebuffer of the flow map.
        shadow: Depth texture of the shadow map.
        shadow_map: Framebuffer of the shadow map.
        backdrop: Texture of the backdrop.
    """

    def __init__(self, ctx: Any, size: int, samples: int) -> None:
        square = (size, size)
        colour = ctx.renderbuffer(square, 4, samples=samples)
        self.multisampled = ctx.framebuffer([colour], ctx.depth_renderbuffer(square, samples=samples))
        self.resolved = ctx.framebuffer([ctx.renderbuffer(square, 4)])
        cells = (FLOW_SIZE, FLOW_SIZE)
        self.flow_map = ctx.framebuffer(
            [ctx.renderbuffer(cells, 4, dtype="f4")], ctx.depth_renderbuffer(cells)
        )
        self.shadow = ctx.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self.shadow.compare_func = "<="
        self.shadow.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self.shadow.repeat_x = self.shadow.repeat_y = False
        self.shadow_map = ctx.framebuffer(depth_attachment=self.shadow)
        self.backdrop = ctx.texture(square, 3)
