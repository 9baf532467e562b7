"""The OpenGL side of the head renderer: programs, targets, shadow map and draw order."""

from collections.abc import Mapping, Sequence
from typing import Any

import moderngl
import numpy as np
from numpy.typing import NDArray

from lipstream_models.errors import LipstreamError

from ..data.dataset import FLESH, SEEN, TEETH
from . import shaders
from .anatomy import LINING, Anatomy
from .head_mesh import GROUPS, MASKS
from .locks import HairGeometry

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

SHADOW_SIZE = 512
PARTS = 5
ALPHA_TO_COVERAGE = 0x809E
POINT = [
    ("3f 3f", ("pos", "nrm")),
    ("3f 2f 3f 1f", ("q", "uv", "eye", "weight")),
    ("1f 1f 4f 1f", ("ao", "scalp", "paint", "fur")),
]
STRAND = [("3f 3f 3f 4f 1f", ("pos", "nrm", "tan_", "strand", "weight")), ("1f", ("ao",))]
SEAT = ("2f", ("seat",))
SEATS = 64
"""A side of the map of seats."""


class RenderError(LipstreamError):
    """No usable OpenGL, or weights the head does not have."""


class Layer:
    """One set of triangles at rest, `points` (m,3) with neck weights (m,): the array that draws it, the array that casts its
    shadow, the one that shows its seats, and its buffers, the seats' last.
    """

    def __init__(
        self, points: Floats, weight: Floats, drawn: Any, shadow: Any, seated: Any, buffers: list[Any]
    ) -> None:
        self.points, self.weight = points, weight
        self.drawn, self.shadow, self.seated, self.buffers = drawn, shadow, seated, buffers

    def seat(self, seats: Floats) -> None:
        """Give every point a place (m,2)."""
        self.buffers[-1].write(np.ascontiguousarray(seats, np.float32).tobytes())

    def release(self) -> None:
        """Give the GPU memory back."""
        for held in (self.drawn, self.shadow, self.seated, *self.buffers):
            held.release()


class Canvas:
    """Draws posed layers to a square picture. Holds one OpenGL context, so make one per process."""

    def __init__(self, anatomy: Anatomy, size: int, samples: int) -> None:
        self.size = size
        try:
            # the stubs type the backend as a mapping; the library takes its name
            self.ctx: Any = moderngl.create_context(standalone=True, backend="egl")  # type: ignore[arg-type]
        except Exception as cause:
            raise RenderError(
                f"expected an EGL OpenGL context, got {cause!r}; install libegl1 libgl1-mesa-dri"
            ) from cause
        self._compile()
        self._targets(samples)
        self._head(anatomy)
        self.cloth: Layer | None = None
        self.hair: Layer | None = None

    def _compile(self) -> None:
        make = self.ctx.program
        skin, hair, depth = shaders.read("skin.vert"), shaders.read("hair.vert"), shaders.read("depth.frag")
        self.parts = [
            make(vertex_shader=skin, fragment_shader=shaders.part_fragment(k)) for k in range(PARTS + 1)
        ]
        self.hair_program = make(vertex_shader=hair, fragment_shader=shaders.hair_fragment())
        self.skin_depth = make(vertex_shader=skin, fragment_shader=depth)
        self.hair_depth = make(vertex_shader=hair, fragment_shader=depth)
        self.backdrop = make(
            vertex_shader=shaders.read("backdrop.vert"), fragment_shader=shaders.read("backdrop.frag")
        )
        self.seat_program = make(
            vertex_shader=shaders.read("seat.vert"), fragment_shader=shaders.read("seat.frag")
        )
        self.programs = [
            *self.parts,
            self.hair_program,
            self.skin_depth,
            self.hair_depth,
            self.backdrop,
            self.seat_program,
        ]

    def _targets(self, samples: int) -> None:
        square = (self.size, self.size)
        colour = self.ctx.renderbuffer(square, 4, samples=samples)
        self.target = self.ctx.framebuffer([colour], self.ctx.depth_renderbuffer(square, samples=samples))
        self.resolved = self.ctx.framebuffer([self.ctx.renderbuffer(square, 4)])
        seats = (SEATS, SEATS)
        self.seat_target = self.ctx.framebuffer(
            [self.ctx.renderbuffer(seats, 4, dtype="f4")], self.ctx.depth_renderbuffer(seats)
        )
        self.shadow = self.ctx.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self.shadow.compare_func = "<="
        self.shadow.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self.shadow.repeat_x = self.shadow.repeat_y = False
        self.shadow_target = self.ctx.framebuffer(depth_attachment=self.shadow)
        self.picture = self.ctx.texture(square, 3)
        corners = self.ctx.buffer(np.array([-1, -1, 3, -1, -1, 3], "f4").tobytes())
        self.backdrop_array = self.ctx.vertex_array(self.backdrop, [(corners, "2f", "at")])

    def _head(self, anatomy: Anatomy) -> None:
        mesh = anatomy.mesh
        static = np.column_stack(
            [mesh.template, np.zeros((len(mesh.base), 2)), anatomy.local, anatomy.weight]
        )[mesh.source]
        static[:, 3:5] = mesh.uv
        self.source = mesh.source
        self.moving = self.ctx.buffer(reserve=len(mesh.source) * 24, dynamic=True)
        self.painted = self.ctx.buffer(reserve=len(mesh.source) * 28, dynamic=True)
        buffers = [self.moving, self._buffer(static), self.painted]
        codes = mesh.group[mesh.triangles[:, 0]]
        depth = mesh.template[mesh.source[mesh.triangles]][:, :, 2].mean(1)
        self.head = []
        for part in range(PARTS):
            # nearest first: hidden fragments then fail the depth test before they are shaded
            chosen = mesh.triangles[codes == part][np.argsort(-depth[codes == part], kind="stable")]
            self.head.append(self._array(self.parts[part], POINT, buffers, chosen))
        self.head_shadow = self._array(self.skin_depth, POINT, buffers, mesh.triangles[codes != PARTS - 1])
        self.head_seats = self.ctx.buffer(reserve=len(mesh.source) * 8, dynamic=True)
        layers = _layers(anatomy)
        self.seated = {
            layer: self._array(
                self.seat_program,
                [*POINT, SEAT],
                [*buffers, self.head_seats],
                mesh.triangles[layers == layer],
            )
            for layer in (SEEN, FLESH, TEETH)
        }
        masks = np.ascontiguousarray(mesh.masks[::-1])
        self.masks = self.ctx.texture(masks.shape[1::-1], 4, masks.tobytes())
        self.masks.build_mipmaps()

    def _buffer(self, values: NDArray[Any]) -> Any:
        return self.ctx.buffer(np.ascontiguousarray(values, np.float32).tobytes())

    def _array(
        self,
        program: Any,
        layout: Sequence[tuple[str, tuple[str, ...]]],
        buffers: Sequence[Any],
        triangles: NDArray[Any],
    ) -> Any:
        """A vertex array that skips the attributes its program does not use."""
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

    def wear_cloth(self, moving: Floats, static: Floats, triangles: NDArray[np.int32]) -> None:
        """Cloth as moving (m,6), static (m,9) and triangles (t,3); paint it with paint_cloth."""
        if self.cloth is not None:
            self.cloth.release()
        painted = self._buffer(np.ones((len(moving), 7)))
        buffers = [self._buffer(moving), self._buffer(static), painted]
        drawn = self._array(self.parts[PARTS], POINT, buffers, triangles)
        shadow = self._array(self.skin_depth, POINT, buffers, triangles)
        buffers.append(self._buffer(np.zeros((len(moving), 2))))
        seated = self._array(self.seat_program, [*POINT, SEAT], buffers, triangles)
        self.cloth = Layer(moving[:, :3], static[:, -1], drawn, shadow, seated, buffers)

    def wear_hair(self, grown: HairGeometry | None, weight: Floats | None) -> None:
        """Hair geometry with its neck weights (m,), or none."""
        if self.hair is not None:
            self.hair.release()
        self.hair = None
        if grown is not None and weight is not None:
            fixed = np.column_stack([grown.positions, grown.normals, grown.tangents, grown.strand, weight])
            buffers = [self._buffer(fixed), self._buffer(np.ones(len(weight)))]
            drawn = self._array(self.hair_program, STRAND, buffers, grown.triangles)
            shadow = self._array(self.hair_depth, STRAND, buffers, grown.triangles)
            buffers.append(self._buffer(np.zeros((len(weight), 2))))
            seated = self._array(self.seat_program, [*STRAND, SEAT], buffers, grown.triangles)
            self.hair = Layer(grown.positions, weight, drawn, shadow, seated, buffers)

    def paint(self, skin: Floats, cloth: Floats, hair: Floats) -> None:
        """Vertex paint: skin (n,7) at the shared positions, occlusion of cloth (m,) and hair (k,)."""
        self.painted.write(np.ascontiguousarray(skin[self.source], np.float32).tobytes())
        if self.cloth is not None:
            self.cloth.buffers[2].write(np.repeat(cloth[:, None], 7, 1).astype("f4").tobytes())
        if self.hair is not None:
            self.hair.buffers[1].write(hair.astype("f4").tobytes())

    def hang(self, picture: Image) -> None:
        """Put up a backdrop (size,size,3), row 0 at the top."""
        self.picture.write(np.ascontiguousarray(picture[::-1]).tobytes(), alignment=1)

    def set(self, values: Mapping[str, Any]) -> None:
        """Set uniforms wherever they are used (compilers drop unused ones). Matrices are (r,c) arrays."""
        for program in self.programs:
            for name, value in values.items():
                if name not in program:
                    continue
                if isinstance(value, np.ndarray) and value.ndim == 2:
                    program[name].write(np.ascontiguousarray(value.T, np.float32).tobytes())
                else:
                    program[name].value = tuple(map(float, value)) if isinstance(value, np.ndarray) else value

    def move(self, points: Floats, normals: Floats) -> None:
        """Put the head's shared positions and normals (n,3) where this frame has them."""
        self.moving.write(np.hstack([points, normals])[self.source].tobytes())

    def cast(self, matrix: Floats) -> None:
        """Draw the shadow map as seen through `matrix` (4,4)."""
        self.shadow_target.use()
        self.shadow_target.clear()
        self.ctx.enable_only(moderngl.DEPTH_TEST)
        for program in (self.skin_depth, self.hair_depth):
            program["view"].write(np.ascontiguousarray(matrix.T).tobytes())
        self.head_shadow.render()
        if self.hair is not None:
            self.hair.shadow.render()

    def depth(self) -> Floats:
        """The shadow map's depths (SHADOW_SIZE, SHADOW_SIZE) in 0..1, row 0 at the bottom."""
        return np.frombuffer(self.shadow.read(), np.float32).reshape(SHADOW_SIZE, SHADOW_SIZE)

    def seat(self, seats: Floats) -> None:
        """Give the head's shared positions a place (n,2)."""
        self.head_seats.write(np.ascontiguousarray(seats[self.source], np.float32).tobytes())

    def draw_seats(self) -> Floats:
        """Draw the layers as they are posed, each point with its seat for a colour.

        Returns (SEATS, SEATS, 4), row 0 at the top: seat x and y; SEEN, FLESH or TEETH; 1 where anything is.
        """
        self.seat_target.use()
        self.seat_target.clear()
        self.ctx.enable_only(moderngl.DEPTH_TEST)
        self.seat_program["layer"].value = float(SEEN)
        for layer in (self.hair, self.cloth):
            if layer is not None:
                layer.seated.render()
        self.ctx.enable(moderngl.CULL_FACE)
        for number, array in self.seated.items():
            self.seat_program["layer"].value = float(number)
            array.render()
        self.ctx.disable(moderngl.CULL_FACE)
        values = np.frombuffer(self.seat_target.read(components=4, dtype="f4", alignment=1), np.float32)
        return np.ascontiguousarray(values.reshape(SEATS, SEATS, 4)[::-1])

    def draw(self) -> Image:
        """Draw the frame and read it back, (size,size,3) uint8, row 0 at the top."""
        self.set({"masks": 0, "shadow_map": 1, "picture": 2})
        self.masks.use(0)
        self.shadow.use(1)
        self.picture.use(2)
        self.target.use()
        self.target.clear()
        self.ctx.enable_only(moderngl.DEPTH_TEST)
        if self.hair is not None:
            self.hair.drawn.render()
        self.ctx.enable(moderngl.CULL_FACE)
        for array in self.head[: PARTS - 1]:
            array.render()
        self.ctx.disable(moderngl.CULL_FACE)
        self.backdrop_array.render()
        self.ctx.enable_direct(ALPHA_TO_COVERAGE)
        if self.cloth is not None:
            self.cloth.drawn.render()
        self.ctx.disable_direct(ALPHA_TO_COVERAGE)
        self.ctx.enable(moderngl.BLEND)
        self.ctx.blend_func = moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA
        self.head[PARTS - 1].render()
        self.ctx.copy_framebuffer(self.resolved, self.target)
        pixels = np.frombuffer(self.resolved.read(components=3, alignment=1), np.uint8)
        return np.ascontiguousarray(pixels.reshape(self.size, self.size, 3)[::-1])


def _layers(anatomy: Anatomy) -> NDArray[np.int64]:
    """SEEN, FLESH or TEETH for each triangle of the head; a mouth's lining is part of the skin."""
    mesh = anatomy.mesh
    part = np.array(GROUPS)[mesh.group[mesh.triangles[:, 0]]]
    lining = anatomy.masks[mesh.source[mesh.triangles], MASKS.index("inside-mouth")].mean(axis=1) > LINING
    flesh = (part == "tongue") | ((part == "skin") & lining)
    return np.where(part == "teeth", TEETH, np.where(flesh, FLESH, SEEN))
