"""The OpenGL side of the head renderer: vertex arrays, uniforms and draw calls."""

from collections.abc import Mapping, Sequence
from typing import Any

import moderngl
import numpy as np
from numpy.typing import NDArray

from lipstream_models.errors import LipstreamError

from ..head.anatomy import LINING_THRESHOLD, Anatomy
from ..head.hair_geometry import HairGeometry
from ..head.head_mesh import GROUPS, MASKS
from .layers import (
    HAIR_LAYOUT,
    PORTRAIT_LAYOUT,
    SKIN_LAYOUT,
    AttributeLayout,
    Layer,
)
from .programs import PARTS, Programs
from .render_targets import FLOW_SIZE, SHADOW_SIZE, RenderTargets
from .surfaces import FLESH, OUTSIDE, TEETH

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

ALPHA_TO_COVERAGE = 0x809E


class RenderError(LipstreamError):
    """OpenGL cannot be used, or a blendshape does not exist."""


class Canvas:
    """Draws posed layers to square images. It has one OpenGL context, so make one per process.

    Args:
        anatomy: The head.
        size: Pixels per side.
        samples: MSAA samples of a pixel.

    Raises:
        RenderError: There is no offscreen OpenGL.
    """

    def __init__(self, anatomy: Anatomy, size: int, samples: int) -> None:
        self.size = size
        try:
            # The stubs type the backend as a mapping; the library takes its name.
            self.ctx: Any = moderngl.create_context(standalone=True, backend="egl")  # type: ignore[arg-type]
        except Exception as cause:
            raise RenderError(
                f"expected an EGL OpenGL context, got {cause!r}; apt-get install libegl1 libgl1-mesa-dri"
            ) from cause
        self.programs = Programs(self.ctx)
        self.targets = RenderTargets(self.ctx, size, samples)
        self._create_head(anatomy)
        corners = self.ctx.buffer(np.array([-1, -1, 3, -1, -1, 3], "f4").tobytes())
        self.backdrop = self.ctx.vertex_array(self.programs.backdrop, [(corners, "2f", "at")])
        self.cloth: Layer | None = None
        self.hair: Layer | None = None

    def _create_head(self, anatomy: Anatomy) -> None:
        mesh = anatomy.mesh
        static = np.column_stack(
            [mesh.template, np.zeros((len(mesh.base), 2)), anatomy.local, anatomy.weight]
        )[mesh.source]
        static[:, 3:5] = mesh.uv
        self.source = mesh.source
        self.vertices = self.ctx.buffer(reserve=len(mesh.source) * 24, dynamic=True)
        self.skin_paint = self.ctx.buffer(reserve=len(mesh.source) * 28, dynamic=True)
        self.portrait_positions = self.ctx.buffer(reserve=len(mesh.source) * 8, dynamic=True)
        buffers = [self.vertices, self._buffer(static), self.skin_paint]
        codes = mesh.group[mesh.triangles[:, 0]]
        depth = mesh.template[mesh.source[mesh.triangles]][:, :, 2].mean(1)
        self.head = []
        for part in range(PARTS):
            # Nearest first: hidden fragments then fail the depth test before they are shaded.
            chosen = mesh.triangles[codes == part][np.argsort(-depth[codes == part], kind="stable")]
            self.head.append(self._array(self.programs.parts[part], SKIN_LAYOUT, buffers, chosen))
        without_lashes = mesh.triangles[codes != PARTS - 1]
        self.head_shadow = self._array(self.programs.skin_depth, SKIN_LAYOUT, buffers, without_lashes)
        surfaces = _triangle_surfaces(anatomy)
        self.head_flow = {
            surface: self._array(
                self.programs.flow,
                [*SKIN_LAYOUT, PORTRAIT_LAYOUT],
                [*buffers, self.portrait_positions],
                mesh.triangles[surfaces == surface],
            )
            for surface in (OUTSIDE, FLESH, TEETH)
        }
        masks = np.ascontiguousarray(mesh.masks[::-1])
        self.masks = self.ctx.texture(masks.shape[1::-1], 4, masks.tobytes())
        self.masks.build_mipmaps()

    def _buffer(self, values: NDArray[Any]) -> Any:
        return self.ctx.buffer(np.ascontiguousarray(values, np.float32).tobytes())

    def _array(
        self, program: Any, layout: AttributeLayout, buffers: Sequence[Any], triangles: NDArray[Any]
    ) -> Any:
        """Return a vertex array that skips the attributes which its program does not use."""
        content = []
        for buffer, (formats, names) in zip(buffers, layout, strict=True):
            parts = [
                f if n in program else f"{int(f[0]) * 4}x"
                for f, n in zip(formats.split(), names, strict=True)
            ]
            used = [n for n in names if n in program]
            if used:
                content.append((buffer, " ".join(parts), *used))
        return self.ctx.vertex_array(program, content, self.ctx.buffer(triangles.astype("i4").tobytes()))

    def _layer(
        self,
        points: Floats,
        weight: Floats,
        programs: tuple[Any, Any],
        layout: list[tuple[str, tuple[str, ...]]],
        buffers: list[Any],
        triangles: NDArray[np.int32],
    ) -> Layer:
        """Return a layer of points (m, 3) that is drawn, and casts its shadow, with these two programs."""
        drawn, shadow = (self._array(program, layout, buffers, triangles) for program in programs)
        buffers.append(self._buffer(np.zeros((len(points), 2))))
        flow = self._array(self.programs.flow, [*layout, PORTRAIT_LAYOUT], buffers, triangles)
        return Layer(points, weight, drawn, shadow, flow, buffers)

    def set_cloth(self, dynamic: Floats, static: Floats, triangles: NDArray[np.int32]) -> None:
        """Set the cloth; `set_paint` paints it.

        Args:
            dynamic: (m, 6) positions and normals.
            static: (m, 9) the other attributes, neck weights last.
            triangles: (t, 3).
        """
        if self.cloth is not None:
            self.cloth.release()
        buffers = [self._buffer(dynamic), self._buffer(static), self._buffer(np.ones((len(dynamic), 7)))]
        programs = self.programs.parts[PARTS], self.programs.skin_depth
        self.cloth = self._layer(dynamic[:, :3], static[:, -1], programs, SKIN_LAYOUT, buffers, triangles)

    def set_hair(self, hair: HairGeometry | None, weight: Floats | None) -> None:
        """Set the hair, with the neck weights (m,) of its points, or none."""
        if self.hair is not None:
            self.hair.release()
        self.hair = None
        if hair is not None and weight is not None:
            fixed = np.column_stack([hair.positions, hair.normals, hair.tangents, hair.strand, weight])
            buffers = [self._buffer(fixed), self._buffer(np.ones(len(weight)))]
            programs = self.programs.hair, self.programs.hair_depth
            self.hair = self._layer(hair.positions, weight, programs, HAIR_LAYOUT, buffers, hair.triangles)

    def set_paint(self, skin: Floats, cloth: Floats, hair: Floats) -> None:
        """Set the paint (n, 7) of the shared positions, and the ambient occlusion of cloth (m,) and hair (k,)."""
        self.skin_paint.write(np.ascontiguousarray(skin[self.source], np.float32).tobytes())
        if self.cloth is not None:
            self.cloth.buffers[2].write(np.repeat(cloth[:, None], 7, 1).astype("f4").tobytes())
        if self.hair is not None:
            self.hair.buffers[1].write(hair.astype("f4").tobytes())

    def set_backdrop(self, image: Pixels) -> None:
        """Set the backdrop (size, size, 3), row 0 at the top."""
        self.targets.backdrop.write(np.ascontiguousarray(image[::-1]).tobytes(), alignment=1)

    def set_uniforms(self, values: Mapping[str, Any]) -> None:
        """Set uniforms in the programs that use them; matrices are arrays (rows, columns)."""
        for program in self.programs.all():
            for name, value in values.items():
                if name not in program:  # compilers drop what is not used
                    continue
                if isinstance(value, np.ndarray) and value.ndim == 2:
                    program[name].write(np.ascontiguousarray(value.T, np.float32).tobytes())
                else:
                    program[name].value = tuple(map(float, value)) if isinstance(value, np.ndarray) else value

    def set_vertices(self, points: Floats, normals: Floats) -> None:
        """Set the head's shared positions and normals, (n, 3) each, for this frame."""
        self.vertices.write(np.hstack([points, normals])[self.source].tobytes())

    def set_portrait_positions(self, positions: Floats) -> None:
        """Set the positions (n, 2) in the portrait, in pixels, of the head's shared positions."""
        self.portrait_positions.write(np.ascontiguousarray(positions[self.source], np.float32).tobytes())

    def draw_shadow_map(self, matrix: Floats) -> None:
        """Draw the shadow map with a view matrix (4, 4)."""
        self.targets.shadow_map.use()
        self.targets.shadow_map.clear()
        self.ctx.enable_only(moderngl.DEPTH_TEST)
        for program in (self.programs.skin_depth, self.programs.hair_depth):
            program["view"].write(np.ascontiguousarray(matrix.T).tobytes())
        self.head_shadow.render()
        if self.hair is not None:
            self.hair.shadow.render()

    def read_shadow_map(self) -> Floats:
        """Return the depths (SHADOW_SIZE, SHADOW_SIZE) in [0, 1], row 0 at the bottom."""
        depths = np.frombuffer(self.targets.shadow.read(), np.float32)
        return depths.reshape(SHADOW_SIZE, SHADOW_SIZE)

    def draw_flow_map(self) -> Floats:
        """Draw the posed layers with each point's position in the portrait as its colour.

        Returns:
            (FLOW_SIZE, FLOW_SIZE, 4), row 0 at the top: x and y in the portrait; OUTSIDE, FLESH or TEETH; 1 where
            there is anything.
        """
        program = self.programs.flow
        self.targets.flow_map.use()
        self.targets.flow_map.clear()
        self.ctx.enable_only(moderngl.DEPTH_TEST)
        program["surface"].value = float(OUTSIDE)
        for layer in (self.hair, self.cloth):
            if layer is not None:
                layer.flow.render()
        self.ctx.enable(moderngl.CULL_FACE)
        for surface, array in self.head_flow.items():
            program["surface"].value = float(surface)
            array.render()
        self.ctx.disable(moderngl.CULL_FACE)
        values = np.frombuffer(self.targets.flow_map.read(components=4, dtype="f4", alignment=1), np.float32)
        return np.ascontiguousarray(values.reshape(FLOW_SIZE, FLOW_SIZE, 4)[::-1])

    def draw_frame(self) -> Pixels:
        """Draw the frame and return its pixels (size, size, 3), row 0 at the top."""
        targets = self.targets
        self.set_uniforms({"masks": 0, "shadow_map": 1, "backdrop": 2})
        self.masks.use(0)
        targets.shadow.use(1)
        targets.backdrop.use(2)
        targets.multisampled.use()
        targets.multisampled.clear()
        self.ctx.enable_only(moderngl.DEPTH_TEST)
        if self.hair is not None:
            self.hair.drawn.render()
        self.ctx.enable(moderngl.CULL_FACE)
        for array in self.head[: PARTS - 1]:
            array.render()
        self.ctx.disable(moderngl.CULL_FACE)
        self.backdrop.render()
        self.ctx.enable_direct(ALPHA_TO_COVERAGE)
        if self.cloth is not None:
            self.cloth.drawn.render()
        self.ctx.disable_direct(ALPHA_TO_COVERAGE)
        self.ctx.enable(moderngl.BLEND)
        self.ctx.blend_func = moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA
        self.head[PARTS - 1].render()
        self.ctx.copy_framebuffer(targets.resolved, targets.multisampled)
        pixels = np.frombuffer(targets.resolved.read(components=3, alignment=1), np.uint8)
        return np.ascontiguousarray(pixels.reshape(self.size, self.size, 3)[::-1])


def _triangle_surfaces(anatomy: Anatomy) -> NDArray[np.int64]:
    """Return OUTSIDE, FLESH or TEETH for each triangle (t,) of the head; a mouth's lining is part of the skin."""
    mesh = anatomy.mesh
    part = np.array(GROUPS)[mesh.group[mesh.triangles[:, 0]]]
    lining = anatomy.masks[mesh.source[mesh.triangles], MASKS.index("inside-mouth")].mean(axis=1)
    flesh = (part == "tongue") | ((part == "skin") & (lining > LINING_THRESHOLD))
    return np.where(part == "teeth", TEETH, np.where(flesh, FLESH, OUTSIDE))
