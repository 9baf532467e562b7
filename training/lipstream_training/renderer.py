"""An offscreen renderer of synthetic heads (moderngl on EGL; llvmpipe is enough)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import moderngl
import numpy as np
from numpy.typing import NDArray

from lipstream_models.errors import LipstreamError

from . import shaders
from .hair import STYLES, grow, hairline
from .head_mesh import GROUPS, MASK_BOX, HeadMesh
from .identity import Identity
from .paint import beard_region, paint_skin
from .scene import Scene, paint_backdrop

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

EYE_DISTANCE = 12.0
SHADOW_SIZE = 512
SHADOW_REACH = 1.9
UPPER_LIP = (474, 520, 537)
LOOK_LIMIT = 0.38


class RenderError(LipstreamError):
    """No usable OpenGL, or weights the head does not have."""


@dataclass(frozen=True)
class Frame:
    """One rendered frame: pixels (H,W,3) uint8 sRGB; boxes are (left, top, right, bottom) pixels;
    `lip_opening` is the inner-lip gap at the middle divided by the distance between the eye centres;
    `landmarks` name -> (x, y) pixels."""

    pixels: Image
    lip_opening: float
    face_box: tuple[float, float, float, float]
    mouth_box: tuple[float, float, float, float]
    landmarks: dict[str, tuple[float, float]]


def _rotation(yaw: float, pitch: float, roll: float) -> Floats:
    cy, sy, cx, sx, cz, sz = (
        np.cos(yaw),
        np.sin(yaw),
        np.cos(pitch),
        np.sin(pitch),
        np.cos(roll),
        np.sin(roll),
    )
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    tilt = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(tilt @ turn @ nod, np.float32)


class _Normals:
    """Smooth vertex normals of the shared positions, by sorted segment sums (numpy only)."""

    def __init__(self, corners: NDArray[np.intp], count: int) -> None:
        self.corners = corners
        flat = corners.ravel()
        self.order = np.argsort(flat, kind="stable") // 3
        present, self.starts = np.unique(np.sort(flat), return_index=True)
        self.present = present
        self.count = count

    def of(self, points: Floats) -> Floats:
        a, b, c = (points[self.corners[:, k]] for k in range(3))
        faces = np.cross(b - a, c - a)
        summed = np.zeros((self.count, 3), np.float32)
        summed[self.present] = np.add.reduceat(faces[self.order], self.starts, axis=0)
        return np.asarray(summed / (np.linalg.norm(summed, axis=1, keepdims=True) + 1e-12), np.float32)


class HeadRenderer:
    """Renders identities in scenes. One instance per process; it keeps the last identity and scene warm."""

    def __init__(self, size: int = 256, samples: int = 4) -> None:
        self.size = size
        self.mesh = HeadMesh.load()
        try:
            # the stubs type the backend as a mapping; the library takes its name
            self.ctx: Any = moderngl.create_context(standalone=True, backend="egl")  # type: ignore[arg-type]
        except Exception as cause:
            raise RenderError(
                f"expected an EGL OpenGL context, got {cause!r}; install libegl1 libgl1-mesa-dri"
            ) from cause
        self._programs()
        self._statics()
        colour = self.ctx.renderbuffer((size, size), 4, samples=samples)
        self.target = self.ctx.framebuffer(
            [colour], self.ctx.depth_renderbuffer((size, size), samples=samples)
        )
        self.resolved = self.ctx.framebuffer([self.ctx.renderbuffer((size, size), 4)])
        self.shadow = self.ctx.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self.shadow.compare_func = "<="
        self.shadow.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self.shadow.repeat_x = self.shadow.repeat_y = False
        self.shadow_target = self.ctx.framebuffer(depth_attachment=self.shadow)
        self.identity: Identity | None = None
        self.scene: Scene | None = None
        self.picture: Any = None

    # -- setting up -------------------------------------------------------------------------------------------------

    def _programs(self) -> None:
        make = self.ctx.program
        self.parts = [
            make(vertex_shader=shaders.read("skin.vert"), fragment_shader=shaders.part_fragment(part))
            for part in range(6)
        ]
        self.hair_program = make(
            vertex_shader=shaders.read("hair.vert"), fragment_shader=shaders.hair_fragment()
        )
        self.skin_depth = make(
            vertex_shader=shaders.read("skin.vert"), fragment_shader=shaders.read("depth.frag")
        )
        self.hair_depth = make(
            vertex_shader=shaders.read("hair.vert"), fragment_shader=shaders.read("depth.frag")
        )
        self.backdrop_program = make(
            vertex_shader=shaders.read("backdrop.vert"), fragment_shader=shaders.read("backdrop.frag")
        )
        square = self.ctx.buffer(np.array([-1, -1, 3, -1, -1, 3], "f4").tobytes())
        self.backdrop_array = self.ctx.vertex_array(self.backdrop_program, [(square, "2f", "at")])

    def _statics(self) -> None:
        mesh = self.mesh
        count = len(mesh.source)
        corners = mesh.source[mesh.triangles]
        self.normals = _Normals(corners, len(mesh.base))
        group = mesh.position_group
        t = mesh.template
        self.eyes = [
            np.flatnonzero((group == GROUPS.index("eye")) & (np.sign(t[:, 0]) == s)) for s in (1, -1)
        ]
        eye = np.zeros((len(t), 3), np.float32)
        for rows in self.eyes:
            low, high = t[rows].min(0), t[rows].max(0)
            eye[rows] = (t[rows] - (low + high) / 2) / ((high - low).max() / 2)
        skin = t[group == 0]
        lash = np.flatnonzero(group == GROUPS.index("lash"))
        away = np.sqrt(((t[lash, None] - skin[None]) ** 2).sum(-1).min(1))
        eye[lash, 0] = np.clip(away / 0.05, 0, 1)
        # the stock teeth sit high and the tongue fills the mouth: lower them a little
        self.settled = np.zeros_like(t)
        self.settled[group == GROUPS.index("teeth"), 1] = -0.045
        self.settled[group == GROUPS.index("tongue"), 1] = -0.055
        mask = self.masked = self._sampled_masks()
        self.weight = self._turning(t)
        # the stock lips leave a slit towards the corners: let the lower one overlap the upper by a hair
        dropped = np.zeros(len(t), np.float32)
        jaw = mesh.units["jawOpen"]
        dropped[jaw.rows] = jaw.moves[:, 1]
        inner = (group == 0) & (np.abs(t[:, 0]) < 0.21) & (t[:, 2] > 1.24) & (np.abs(t[:, 1] - 6.185) < 0.035)
        away = np.clip(1.4 - np.abs(t[:, 1] - 6.185) / 0.025, 0, 1)
        side = np.clip(np.abs(t[:, 0]) / 0.12, 0.35, 1)
        # keep the mouth's lining well behind the lips and chin, whatever the identity
        lining = self.masked[:, 1] * np.clip((1.37 - t[:, 2]) / 0.05, 0, 1)
        self.settled[:, 2] -= 0.045 * lining
        self.settled[:, 1] += inner * away * side * np.where(dropped < -0.1, 0.011, -0.004)
        self.outer = (group == 0) & (t[:, 1] > 5.75) & (mask[:, 1] < 0.35) & (mask[:, 3] < 0.24)
        static = np.hstack([t[mesh.source], mesh.uv, eye[mesh.source], self.weight[mesh.source][:, None]])
        self.static = self.ctx.buffer(static.astype("f4").tobytes())
        self.moving = self.ctx.buffer(reserve=count * 24, dynamic=True)
        self.painted = self.ctx.buffer(reserve=count * 28, dynamic=True)
        codes = mesh.group[mesh.triangles[:, 0]]
        depth = t[corners][:, :, 2].mean(1)
        self.part_arrays = []
        for part in range(5):
            # nearest first: hidden fragments then fail the depth test before they are shaded
            chosen = mesh.triangles[codes == part][np.argsort(-depth[codes == part], kind="stable")]
            index = self.ctx.buffer(chosen.astype("i4").tobytes())
            self.part_arrays.append(
                self._skin_array(self.parts[part], self.moving, self.static, self.painted, index)
            )
        solid = mesh.triangles[mesh.group[mesh.triangles[:, 0]] != GROUPS.index("lash")]
        solid_index = self.ctx.buffer(solid.astype("i4").tobytes())
        self.skin_shadow = self._skin_array(
            self.skin_depth, self.moving, self.static, self.painted, solid_index
        )
        masks = np.ascontiguousarray(mesh.masks[::-1])
        self.masks = self.ctx.texture(masks.shape[1::-1], 4, masks.tobytes())
        self.masks.build_mipmaps()
        torso = (
            (mesh.group[mesh.triangles] == 0).all(1)
            & (t[corners][:, :, 1].min(1) < 6.0)
            & (t[corners][:, :, 1].max(1) < 5.9)
        )
        self.cloth_rows, flat = np.unique(mesh.triangles[torso], return_inverse=True)
        self.cloth_triangles = flat.reshape(-1, 3).astype(np.int32)
        self.cloth: tuple[Any, Any] | None = None
        self.hair: tuple[Any, Any] | None = None

    @staticmethod
    def _turning(points: Floats) -> Floats:
        """How much a point follows the head's rotation: 0 at the collar bone, 1 at the jaw."""
        at = np.clip((points[:, 1] - 5.05 + 0.30 * np.clip(0.5 - points[:, 2], -0.6, 0.4)) / 0.85, 0, 1)
        return np.asarray(at * at * (3 - 2 * at), np.float32)

    def _sampled_masks(self) -> Floats:
        """Each position's mask values (n,4) 0..1, 0 outside the head's UV island."""
        mesh = self.mesh
        left, low, right, high = MASK_BOX
        u, v = (mesh.uv[:, 0] - left) / (right - left), (mesh.uv[:, 1] - low) / (high - low)
        rows, columns = mesh.masks.shape[:2]
        inside = (u >= 0) & (u < 1) & (v >= 0) & (v < 1)
        i = np.clip(((1 - v) * rows).astype(int), 0, rows - 1)
        j = np.clip((u * columns).astype(int), 0, columns - 1)
        out = np.zeros((len(mesh.base), 4), np.float32)
        out[mesh.source] = mesh.masks[i, j] * inside[:, None] / np.float32(255)
        return out

    def _skin_array(self, program: Any, moving: Any, static: Any, painted: Any, index: Any) -> Any:
        buffers = [
            (moving, "3f 3f", ("pos", "nrm")),
            (static, "3f 2f 3f 1f", ("q", "uv", "eye", "weight")),
            (painted, "1f 1f 4f 1f", ("ao", "scalp", "paint", "fur")),
        ]
        return self._array(program, buffers, index)

    def _array(self, program: Any, buffers: Sequence[tuple[Any, str, tuple[str, ...]]], index: Any) -> Any:
        """A vertex array that pads over the attributes its program does not use."""
        content = []
        for buffer, layout, names in buffers:
            parts = []
            used = []
            for part, name in zip(layout.split(), names, strict=True):
                kept = name in program
                parts.append(part if kept else f"{int(part[0]) * 4}x")
                if kept:
                    used.append(name)
            if used:
                content.append((buffer, " ".join(parts), *used))
        return self.ctx.vertex_array(program, content, index)

    # -- identity and scene -----------------------------------------------------------------------------------------

    def _wear(self, identity: Identity) -> None:
        mesh = self.mesh
        self.identity = identity
        self.neutral = mesh.shaped(identity.morphs)
        self.neutral += self.settled
        self.style = STYLES[identity.hair.style]
        self.line = hairline(mesh.template, self.style.recede * (0.6 + 0.8 * identity.hair.size))
        self.line = np.where(
            self.outer | (mesh.template[:, 1] > 7.2), self.line, np.minimum(self.line, 0.02)
        ).astype(np.float32)
        self.units = {n: (u.rows, u.moves) for n, u in mesh.units.items()}
        normal = self.normals.of(self.neutral)
        self._dress(identity, normal)
        self._comb(identity)
        self.centres = [self.neutral[rows].mean(0) for rows in self.eyes]
        self.moving.write(np.hstack([self.neutral, normal])[mesh.source].astype("f4").tobytes())
        self._occlude(normal)
        self._paint_identity(identity)

    def _dress(self, identity: Identity, normal: Floats) -> None:
        rows = self.cloth_rows
        mesh = self.mesh
        source = mesh.source[rows]
        q = mesh.template[source]
        thick = 0.05 if identity.neck != "turtleneck" else 0.075
        points = self.neutral[source] + normal[source] * thick
        self.cloth_points, self.cloth_normals = points, normal[source]
        moving = self.ctx.buffer(np.hstack([points, normal[source]]).astype("f4").tobytes())
        static = np.hstack([q, mesh.uv[rows], np.zeros((len(rows), 3)), self.weight[source][:, None]])
        painted = self.ctx.buffer(np.ones((len(rows), 7), "f4").tobytes())
        index = self.ctx.buffer(self.cloth_triangles.tobytes())
        fixed = self.ctx.buffer(static.astype("f4").tobytes())
        arrays = [
            self._skin_array(p, moving, fixed, painted, index) for p in (self.parts[5], self.skin_depth)
        ]
        self._drop(self.cloth)
        self.cloth = (arrays[0], arrays[1])
        self.cloth_painted = painted

    def _comb(self, identity: Identity) -> None:
        self._drop(self.hair)
        self.hair = None
        grown = grow(self.mesh, self.neutral, identity.hair, self.line, self.outer)
        self.grown = grown
        if grown is None:
            return
        weight = np.maximum(self._turning(grown.positions), 0)
        fixed = np.hstack([grown.positions, grown.normals, grown.tangents, grown.strand, weight[:, None]])
        buffer = self.ctx.buffer(fixed.astype("f4").tobytes())
        self.hair_painted = self.ctx.buffer(np.ones(len(weight), "f4").tobytes())
        index = self.ctx.buffer(grown.triangles.tobytes())
        layout = [
            (buffer, "3f 3f 3f 4f 1f", ("pos", "nrm", "tan_", "strand", "weight")),
            (self.hair_painted, "1f", ("ao",)),
        ]
        self.hair = (
            self._array(self.hair_program, layout, index),
            self._array(self.hair_depth, layout, index),
        )

    def _set(self, **values: Any) -> None:
        for program in self.parts:
            _assign(program, values)

    def _drop(self, arrays: tuple[Any, Any] | None) -> None:
        for array in arrays or ():
            array.release()

    def _occlude(self, normal: Floats) -> None:
        """Ambient occlusion of this identity by depth maps from many directions."""
        mesh = self.mesh
        directions = _sphere(26)
        sets = [(self.neutral, normal), (self.cloth_points, self.cloth_normals)]
        if self.grown is not None:
            sets.append((self.grown.positions, self.grown.normals))
        points = np.concatenate([p for p, _ in sets])
        normals = np.concatenate([n for _, n in sets])
        seen = np.zeros(len(points))
        total = np.full(len(points), 1e-6)
        self._pose(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
        for direction in directions:
            matrix = self._shadow_matrix(direction)
            depth = self._draw_depth(matrix)
            at = (points + normals * 0.03) @ matrix[:3, :3].T + matrix[:3, 3]
            i = np.clip(((at[:, 1] * 0.5 + 0.5) * SHADOW_SIZE).astype(int), 0, SHADOW_SIZE - 1)
            j = np.clip(((at[:, 0] * 0.5 + 0.5) * SHADOW_SIZE).astype(int), 0, SHADOW_SIZE - 1)
            facing = np.clip(normals @ direction, 0, 1) * (1.0 + 0.5 * direction[1])
            seen += facing * (at[:, 2] * 0.5 + 0.5 < depth[i, j] + 0.002)
            total += facing
        ao = (seen / total).astype(np.float32)
        n = len(self.neutral)
        body = ao[:n]
        corners = mesh.source[mesh.triangles]
        for _ in range(2):
            mean = body[corners].mean(1)
            summed, count = np.zeros(n), np.full(n, 1e-6)
            for k in range(3):
                np.add.at(summed, corners[:, k], mean)
                np.add.at(count, corners[:, k], 1)
            body = (summed / count).astype(np.float32)
        assert self.identity is not None
        colour, gloss = paint_skin(
            mesh.template,
            self.masked[:, 3] / 255,
            self.masked[:, 2] / 255,
            self.identity,
            self.identity.hair.seed,
        )
        fur = beard_region(mesh.template, self.identity.beard)
        columns = np.column_stack([body, self.line, colour, gloss, fur])
        self.painted.write(columns[mesh.source].astype("f4").tobytes())
        m = n + len(self.cloth_points)
        self.cloth_painted.write(np.repeat(ao[n:m, None], 7, 1).astype("f4").tobytes())
        if self.grown is not None:
            self.hair_painted.write((0.25 + 0.75 * ao[m:]).astype("f4").tobytes())

    def _paint_identity(self, identity: Identity) -> None:
        b = identity.brow
        kinds = {"none": 0.0, "full": 1.0, "short": 1.0, "goatee": 2.0, "moustache": 3.0}
        share = {"full": 0.92, "short": 0.6}.get(identity.beard, 0.85)
        lines = {"tee": (5.22, 5.42, 1.0, 0.06), "crew": (5.28, 5.46, 1.0, 0.0), "shirt": (5.25, 5.52, 1.0, 0.25),
                 "turtleneck": (5.52, 5.66, 0.0, 0.0), "vneck": (5.20, 5.44, 1.0, 0.30)}  # fmt: skip
        self._set(
            skin=identity.skin, lips=identity.lips, iris=identity.iris, hair=identity.hair.colour, brow_col=b.colour,
            brow=(b.lift, b.arch, b.thick, b.density), beard=(kinds[identity.beard], identity.stubble, share, 0.0),
            look=(identity.blush, identity.freckles, identity.lashes, identity.age), cap=(self.style.cap, 1.0, 1.0),
            cloth=identity.cloth, cloth2=identity.cloth_second, neckline=lines[identity.neck],
            eye_l=tuple(self.centres[0]), eye_r=tuple(self.centres[1]), mask_box=MASK_BOX,
        )  # fmt: skip
        hat = identity.hair.style == "beanie"
        self.hair_program["hair"].value = identity.cloth_second if hat else identity.hair.colour
        shine = {"afro": 0.35, "crop": 0.7}.get(identity.hair.style, 1.0)
        self.hair_program["hair_look"].value = (0.0 if hat else shine, float(hat), 0.0, 0.0)

    def _stage(self, scene: Scene) -> None:
        self.scene = scene
        light = scene.light
        shared = {
            "key_dir": light.key_direction, "key_col": light.key, "sky": light.sky, "ground": light.ground,
            "rim_dir": light.rim_direction, "rim_col": light.rim, "exposure": light.exposure, "eye_z": EYE_DISTANCE,
        }  # fmt: skip
        self._set(**shared)
        _assign(self.hair_program, shared)
        painted = paint_backdrop(scene.backdrop, self.size)
        if self.picture is None:
            self.picture = self.ctx.texture((self.size, self.size), 3)
        self.picture.write(np.ascontiguousarray(painted[::-1]).tobytes(), alignment=1)

    def _frame(self) -> None:
        """Frame the identity's face: hairline to chin takes the scene's share of the height."""
        assert self.scene is not None
        t = self.mesh.template
        skin = self.outer & (np.abs(t[:, 0]) < 0.12) & (t[:, 2] > 0.8)
        chin = self.neutral[skin & (t[:, 1] < 5.95), 1].min()
        top = self.neutral[skin][np.argmin(np.abs(t[skin, 1] - 7.45)), 1]
        tall = float(top - chin)
        self.half = tall / self.scene.face_fraction / 2
        ox, oy = self.scene.offset
        middle = float(top + chin) / 2 + 0.02 * self.half
        depth = float(np.mean([c[2] for c in self.centres]))
        self.origin = np.array([ox * self.half * 2, middle + oy * self.half * 2, depth], np.float32)
        self.pivot = np.array([0, self.centres[0][1] - 0.95, depth - 0.85], np.float32)
        near, far = EYE_DISTANCE - 4, EYE_DISTANCE + 5
        f = EYE_DISTANCE / self.half
        self.view = np.array(
            [
                [f, 0, 0, 0],
                [0, f, 0, 0],
                [0, 0, (far + near) / (near - far), 2 * far * near / (near - far)],
                [0, 0, -1, 0],
            ],
            np.float32,
        ) @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -EYE_DISTANCE], [0, 0, 0, 1]], np.float32)

    # -- a frame ----------------------------------------------------------------------------------------------------

    def _pose(self, head: Floats, shift: Floats) -> None:
        pivot = getattr(self, "pivot", np.zeros(3, np.float32))
        for program in (*self.parts, self.skin_depth, self.hair_program, self.hair_depth):
            program["head"].write(np.ascontiguousarray(head.T).tobytes())
            _assign(program, {"pivot": tuple(pivot), "shift": tuple(shift)})

    def _shadow_matrix(self, direction: Floats, centre: Floats | None = None) -> Floats:
        forward = -np.asarray(direction, np.float32)
        up = np.array([0, 1, 0], np.float32) if abs(forward[1]) < 0.9 else np.array([0, 0, 1], np.float32)
        right = np.cross(forward, up)
        right /= np.linalg.norm(right)
        basis = np.stack([right, np.cross(right, forward), forward])
        middle = np.array([0, 6.75, 0.45], np.float32) if centre is None else centre
        matrix = np.eye(4, dtype=np.float32)
        scale = np.array([SHADOW_REACH, SHADOW_REACH, 3.5], np.float32)[:, None]
        matrix[:3, :3] = basis / scale
        matrix[:3, 3] = -(basis @ middle) / scale[:, 0]
        return matrix

    def _draw_depth(self, matrix: Floats, read: bool = True) -> Floats:
        self.shadow_target.use()
        self.shadow_target.clear()
        self.ctx.enable_only(moderngl.DEPTH_TEST)
        for program in (self.skin_depth, self.hair_depth):
            program["view"].write(np.ascontiguousarray(matrix.T).tobytes())
        self.skin_shadow.render()
        if self.hair is not None:
            self.hair[1].render()
        if not read:
            return np.empty(0, np.float32)
        return np.frombuffer(self.shadow.read(), np.float32).reshape(SHADOW_SIZE, SHADOW_SIZE)

    def _express(self, weights: Mapping[str, float]) -> Floats:
        points = self.neutral.copy()
        for name, weight in weights.items():
            unit = self.units.get(name)
            if unit is None:
                raise RenderError(f"expected ARKit blendshape names such as jawOpen, got {name!r}")
            if weight:
                points[unit[0]] += np.float32(weight) * unit[1]
        return points

    def render(
        self,
        identity: Identity,
        scene: Scene,
        blendshapes: Mapping[str, float],
        head_rotation: tuple[float, float, float] = (0.0, 0.0, 0.0),
        head_translation: tuple[float, float, float] = (0.0, 0.0, 0.0),
        gaze: tuple[float, float] = (0.0, 0.0),
    ) -> Frame:
        """Draw one frame.

        `blendshapes`: ARKit name -> weight 0..1; `head_rotation`: yaw, pitch, roll in radians (positive turns to
        the image's right, nods up, tilts counter-clockwise); `head_translation`: decimetres; `gaze`: yaw, pitch radians.
        """
        if identity is not self.identity:
            self._wear(identity)
            self.scene = None
        if scene is not self.scene:
            self._stage(scene)
            self._frame()
        weights = _with_gaze(blendshapes, gaze)
        points = self._express(weights)
        normal = self.normals.of(points)
        self.moving.write(np.hstack([points, normal])[self.mesh.source].tobytes())
        head = _rotation(*head_rotation)
        shift = np.asarray(head_translation, np.float32) - self.origin
        self._pose(head, shift)
        matrix = self._shadow_matrix(
            np.asarray(scene.light.key_direction, np.float32), np.array([0, 0.05, -0.6], np.float32)
        )
        self._draw_depth(matrix, read=False)
        self._draw(weights, self._opening(points), matrix)
        pixels = np.frombuffer(self.resolved.read(components=3, alignment=1), np.uint8)
        picture = pixels.reshape(self.size, self.size, 3)[::-1].copy()
        return self._measured(picture, points, head, shift)

    def _draw(self, weights: Mapping[str, float], opening: float, matrix: Floats) -> None:
        assert self.identity is not None
        self._set(
            mouth=(min(1.0, 0.12 + 3.0 * opening), self.identity.lip_tint, self.identity.gloss, 0.0),
            blink=(weights.get("eyeBlinkLeft", 0.0), weights.get("eyeBlinkRight", 0.0)),
            masks=0,
        )
        for program in (*self.parts, self.hair_program):
            program["view"].write(np.ascontiguousarray(self.view.T).tobytes())
            if "shadow_mat" in program:
                program["shadow_mat"].write(np.ascontiguousarray(matrix.T).tobytes())
                program["shadow_map"].value = 1
        self.backdrop_program["picture"].value = 2
        self.masks.use(0)
        self.shadow.use(1)
        self.picture.use(2)
        self.target.use()
        self.target.clear()
        self.ctx.enable_only(moderngl.DEPTH_TEST)
        if self.hair is not None:
            self.hair[0].render()
        if self.cloth is not None:
            self.cloth[0].render()
        self.ctx.enable(moderngl.CULL_FACE)
        for array in self.part_arrays[:4]:
            array.render()
        self.ctx.disable(moderngl.CULL_FACE)
        self.backdrop_array.render()
        self.ctx.enable(moderngl.BLEND)
        self.ctx.blend_func = moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA
        self.part_arrays[4].render()
        self.ctx.copy_framebuffer(self.resolved, self.target)

    def _project(self, points: Floats, weight: Floats, head: Floats, shift: Floats) -> Floats:
        turned = (points - self.pivot) @ head.T + self.pivot
        world = points + (turned - points) * weight[:, None] + shift
        clip = world @ self.view[:3, :3].T + self.view[:3, 3]
        deep = EYE_DISTANCE - world[:, 2]
        flat = clip[:, :2] / deep[:, None]
        return np.asarray((flat * [1, -1] + 1) * self.size / 2, np.float32)

    def _opening(self, points: Floats) -> float:
        marks = self._landmark_rows()
        eyes = float(np.linalg.norm(self.centres[0] - self.centres[1]))
        return max(0.0, float(points[marks["lip_upper"], 1] - points[marks["lip_lower"], 1]) - 0.004) / eyes

    def _measured(self, picture: Image, points: Floats, head: Floats, shift: Floats) -> Frame:
        marks = self._landmark_rows()
        rows = np.array(list(marks.values()))
        spots = self._project(points[rows], self.weight[rows], head, shift)
        named = {name: (float(x), float(y)) for name, (x, y) in zip(marks, spots, strict=True)}
        lips = self._project(points[self.lip_rows], self.weight[self.lip_rows], head, shift)
        face = self._project(points[self.face_rows], self.weight[self.face_rows], head, shift)
        return Frame(picture, self._opening(points), _box(face), _box(lips), named)

    def _landmark_rows(self) -> dict[str, int]:
        held: dict[str, int] | None = getattr(self, "_marks", None)
        if held is None:
            t = self.mesh.template

            def near(x: float, y: float, z: float) -> int:
                return int(np.argmin(((t - np.array([x, y, z], np.float32)) ** 2).sum(1)))

            held = {
                "lip_upper": near(0, 6.183, 1.382), "lip_lower": near(0, 6.184, 1.390), "nose": near(0, 6.46, 1.56),
                "chin": near(0, 5.80, 1.27), "eye_left": near(0.288, 6.795, 1.28), "eye_right": near(-0.288, 6.795, 1.28),
                "mouth_left": near(0.22, 6.18, 1.26), "mouth_right": near(-0.22, 6.18, 1.26), "forehead": near(0, 7.45, 1.35),
            }  # fmt: skip
            self._marks = held
            mask = self.masked
            self.lip_rows = np.flatnonzero(mask[:, 0] > 0.5)
            self.face_rows = np.flatnonzero(self.outer & (t[:, 1] < 7.47) & (t[:, 2] > 0.75))
        return held


def _assign(program: Any, values: Mapping[str, Any]) -> None:
    """Set the uniforms a program kept; compilers drop the unused ones."""
    for name, value in values.items():
        if name in program:
            program[name].value = value


def _box(spots: Floats) -> tuple[float, float, float, float]:
    low, high = spots.min(0), spots.max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _sphere(count: int) -> list[Floats]:
    """Evenly spread unit directions (Fibonacci)."""
    k = np.arange(count) + 0.5
    y = 1 - 2 * k / count
    ring = np.sqrt(1 - y * y)
    turn = np.pi * (1 + 5**0.5) * k
    return [np.asarray(d, np.float32) for d in np.stack([ring * np.cos(turn), y, ring * np.sin(turn)], 1)]


def _with_gaze(blendshapes: Mapping[str, float], gaze: tuple[float, float]) -> dict[str, float]:
    """Turn gaze angles into the eyeLook shapes, on top of those given."""
    weights = dict(blendshapes)
    yaw, pitch = gaze[0] / LOOK_LIMIT, gaze[1] / LOOK_LIMIT
    moves = {
        "eyeLookOutLeft": max(yaw, 0), "eyeLookInRight": max(yaw, 0), "eyeLookInLeft": max(-yaw, 0),
        "eyeLookOutRight": max(-yaw, 0), "eyeLookUpLeft": max(pitch, 0), "eyeLookUpRight": max(pitch, 0),
        "eyeLookDownLeft": max(-pitch, 0), "eyeLookDownRight": max(-pitch, 0),
    }  # fmt: skip
    for name, amount in moves.items():
        if amount:
            weights[name] = weights.get(name, 0.0) + amount
    return weights
