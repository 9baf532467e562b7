"""An offscreen renderer of synthetic heads (moderngl on EGL; the llvmpipe software rasteriser is enough)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import SEEN
from .anatomy import Anatomy
from .canvas import SEATS, Canvas, RenderError
from .figure import Figure, dress, shadow_matrix
from .head_mesh import HeadMesh
from .identity import Identity
from .scene import Scene, paint_backdrop

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]
Box = tuple[float, float, float, float]

EYE_DISTANCE = 12.0
"""Decimetres from the camera to the eyes."""
LOOK_LIMIT = 0.38
"""Radians of gaze at an eyeLook weight of 1."""
EDGE_POINTS = 9
"""Places along an edge of the mesh of lips and teeth at which it is looked at; an edge is some 8 pixels long."""
LIP_SLACK = 0.004
"""Decimetres of gap that still read as closed."""

__all__ = ["Frame", "HeadRenderer", "RenderError"]


@dataclass(frozen=True)
class Frame:
    """One rendered frame.

    `pixels` (H,W,3) uint8 sRGB; `lip_opening`: inner-lip gap at the middle over the distance between the
    eye centres (0 closed, about 0.4 wide); `face_box` (hairline to chin) and `mouth_box` (both lips):
    left, top, right, bottom in pixels; `landmarks`: name -> (x, y) pixels, left being the person's left.
    """

    pixels: Image
    lip_opening: float
    face_box: Box
    mouth_box: Box
    landmarks: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Pose:
    """A frame's shared positions (n,3) before the head turns, its rotation (3,3) and shift (3,)."""

    points: Floats
    head: Floats
    shift: Floats


@dataclass(frozen=True)
class _Camera:
    """`view` (4,4) clip from world; world = posed head minus `origin`; the head turns about `pivot`."""

    view: Floats
    origin: Floats
    pivot: Floats


class HeadRenderer:
    """Renders identities in scenes; keeps the last identity and scene warm. Make one per process.

    `size`: pixels a side; `samples`: MSAA samples; `detail`: hair lock count relative to what
    suits 256 pixels (default: by size).
    Raises RenderError where no offscreen OpenGL is to be had.
    """

    def __init__(self, size: int = 256, samples: int = 4, detail: float | None = None) -> None:
        self.size = size
        self.detail = size / 256 if detail is None else detail
        self.anatomy = Anatomy.of(HeadMesh.load())
        self.mesh = self.anatomy.mesh
        self.canvas = Canvas(self.anatomy, size, samples)
        self._identity: Identity | None = None
        self._scene: Scene | None = None

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

        `blendshapes`: ARKit name -> weight 0..1 (RenderError on unknown names); `head_rotation`: yaw,
        pitch, roll in radians (positive: towards the image's right, up, counter-clockwise);
        `head_translation`: decimetres, right, up, nearer; `gaze`: yaw, pitch in radians, right and up. A
        new identity costs some hundred milliseconds.
        """
        if identity is not self._identity:
            self._figure = dress(self.anatomy, self.canvas, identity, self.detail)
            self._identity, self._scene = identity, None
        if scene is not self._scene:
            self._stage(scene)
            self._scene = scene
        weights = _with_gaze(blendshapes, gaze)
        points = self._expressed(weights)
        self.canvas.move(points, self.anatomy.normals.of(points))
        head, shift = (
            _rotation(*head_rotation),
            np.asarray(head_translation, np.float32) - self._camera.origin,
        )
        light = shadow_matrix(
            np.asarray(scene.light.key_direction, np.float32), np.array([0, 0.05, -0.6], np.float32)
        )
        self.canvas.set({"head": head, "pivot": self._camera.pivot, "shift": shift})
        self.canvas.cast(light)
        opening = self._opening(points)
        self.canvas.set(
            {
                "view": self._camera.view,
                "shadow_mat": light,
                "opening": min(1.0, 0.12 + 3.0 * opening),
                "blink": (weights.get("eyeBlinkLeft", 0.0), weights.get("eyeBlinkRight", 0.0)),
            }
        )
        return self._measured(self.canvas.draw(), opening, points, head, shift)

    def pose(
        self,
        blendshapes: Mapping[str, float],
        head_rotation: tuple[float, float, float] = (0.0, 0.0, 0.0),
        head_translation: tuple[float, float, float] = (0.0, 0.0, 0.0),
        gaze: tuple[float, float] = (0.0, 0.0),
    ) -> Pose:
        """Where a frame of `render`'s last identity and scene has everything."""
        points = self._expressed(_with_gaze(blendshapes, gaze))
        return Pose(
            points,
            _rotation(*head_rotation),
            np.asarray(head_translation, np.float32) - self._camera.origin,
        )

    def flow(self, poses: Sequence[Pose], portrait: Pose) -> tuple[Floats, NDArray[np.uint8]]:
        """How far what each place of each frame shows has moved since the portrait: (T, SEATS, SEATS, 2) pixels, right and down,
        from the frame to the portrait; NaN inside the mouth, which no portrait is sure to show, 0 in the background. And whether
        a place shows what is SEEN of a closed mouth, FLESH or TEETH (T, SEATS, SEATS).
        """
        canvas = self.canvas
        canvas.seat(self._place(portrait.points, self.anatomy.weight, portrait))
        for layer in (canvas.cloth, canvas.hair):
            if layer is not None:
                layer.seat(self._place(layer.points, layer.weight, portrait))
        centres = (np.arange(SEATS, dtype=np.float32) + 0.5) * (self.size / SEATS)
        here = np.stack(np.meshgrid(centres, centres), -1)
        flows, layers = [], []
        for pose in poses:
            canvas.move(pose.points, self.anatomy.normals.of(pose.points))
            canvas.set(
                {
                    "head": pose.head,
                    "pivot": self._camera.pivot,
                    "shift": pose.shift,
                    "view": self._camera.view,
                }
            )
            seats, shown, drawn = np.split(canvas.draw_seats(), (2, 3), axis=-1)
            flow = np.where(shown == SEEN, seats - here, np.nan)
            flows.append(np.where(drawn > 0, flow, 0))
            layers.append(shown[..., 0])
        return np.stack(flows).astype(np.float32), np.stack(layers).astype(np.uint8)

    def outlines(self, poses: Sequence[Pose]) -> Floats:
        """Where lips and teeth end: (T, 4, SEATS) rows in pixels, of the lower edges of what is above (upper lip, upper teeth) at 0
        and 2 and of the upper edges of what is below at 1 and 3, in each column of the map of seats. To the left and right of all
        lips, or of all teeth, what is above goes on downwards, and what is below upwards, so that nothing is between.
        """
        anatomy = self.anatomy
        columns = (np.arange(SEATS, dtype=np.float32) + 0.5) * (self.size / SEATS)
        edges = np.empty((len(poses), 4, SEATS), np.float32)
        for frame, pose in enumerate(poses):
            for row, ends in enumerate((*anatomy.lips, *anatomy.teeth)):
                points, weight = (_along(values, ends) for values in (pose.points, anatomy.weight))
                x, y = self._place(points, weight, pose).T
                sign = -1 if row % 2 else 1
                edges[frame, row] = sign * _outline(x, sign * y, columns)
        return edges

    def _stage(self, scene: Scene) -> None:
        light = scene.light
        self.canvas.set(
            {
                "key_dir": light.key_direction,
                "key_col": light.key,
                "sky": light.sky,
                "ground": light.ground,
                "rim_dir": light.rim_direction,
                "rim_col": light.rim,
                "exposure": light.exposure,
                "eye_z": EYE_DISTANCE,
            }
        )
        self.canvas.hang(paint_backdrop(scene.backdrop, self.size))
        self._camera = _aimed(self.anatomy, self._figure, scene)

    def _expressed(self, weights: Mapping[str, float]) -> Floats:
        points = self._figure.neutral.copy()
        for name, weight in weights.items():
            unit = self.mesh.units.get(name)
            if unit is None:
                raise RenderError(f"expected ARKit blendshape names such as jawOpen, got {name!r}")
            if weight:
                points[unit.rows] += np.float32(weight) * unit.moves
        return points

    def _opening(self, points: Floats) -> float:
        marks, (left, right) = self.anatomy.marks, self._figure.centres
        gap = float(points[marks["lip_upper"], 1] - points[marks["lip_lower"], 1]) - LIP_SLACK
        return max(0.0, gap) / float(np.linalg.norm(left - right))

    def _project(self, points: Floats, rows: NDArray[np.intp], head: Floats, shift: Floats) -> Floats:
        return self._place(points[rows], self.anatomy.weight[rows], Pose(points, head, shift))

    def _place(self, still: Floats, weight: Floats, pose: Pose) -> Floats:
        """Pixels (n,2) of points at rest (n,3) that follow the head's turn by weight (n,)."""
        camera = self._camera
        turned = (still - camera.pivot) @ pose.head.T + camera.pivot
        world = still + (turned - still) * weight[:, None] + pose.shift
        flat = (world @ camera.view[:3, :3].T + camera.view[:3, 3])[:, :2] / (EYE_DISTANCE - world[:, 2:])
        return np.asarray((flat * [1, -1] + 1) * self.size / 2, np.float32)

    def _measured(self, picture: Image, opening: float, points: Floats, head: Floats, shift: Floats) -> Frame:
        marks = self.anatomy.marks
        spots = self._project(points, np.array(list(marks.values())), head, shift)
        lips = self._project(points, self.anatomy.lip_rows, head, shift)
        face = self._project(points, self.anatomy.face_rows, head, shift)
        named = {name: (float(x), float(y)) for name, (x, y) in zip(marks, spots, strict=True)}
        return Frame(picture, opening, _box(face), _box(lips), named)


def _aimed(anatomy: Anatomy, figure: Figure, scene: Scene) -> _Camera:
    """Frame the face: hairline to chin takes the scene's share of the height."""
    t, neutral = anatomy.mesh.template, figure.neutral
    front = anatomy.outer & (np.abs(t[:, 0]) < 0.12) & (t[:, 2] > 0.8)
    chin = float(neutral[front & (t[:, 1] < 5.95), 1].min())
    top = float(neutral[front][np.argmin(np.abs(t[front, 1] - 7.45)), 1])
    half = (top - chin) / scene.face_fraction / 2
    eyes = (figure.centres[0] + figure.centres[1]) / 2
    right, up = (2 * half * x for x in scene.offset)
    near, far, f = EYE_DISTANCE - 4, EYE_DISTANCE + 5, EYE_DISTANCE / half
    view = np.diag([f, f, (far + near) / (near - far), 0]).astype(np.float32)
    view[2, 3] = 2 * far * near / (near - far) - EYE_DISTANCE * view[2, 2]
    view[3] = 0, 0, -1, EYE_DISTANCE
    origin = np.array([right, (top + chin) / 2 + 0.02 * half + up, eyes[2]], np.float32)
    return _Camera(view, origin, np.array([0, eyes[1] - 0.95, eyes[2] - 0.85], np.float32))


def _along(values: Floats, ends: NDArray[np.intp]) -> Floats:
    """Values (n, ...) at EDGE_POINTS places along each edge between two rows (e, 2)."""
    share = np.linspace(0, 1, EDGE_POINTS, dtype=np.float32).reshape(-1, 1, *[1] * (values.ndim - 1))
    between = values[ends[:, 0]] * (1 - share) + values[ends[:, 1]] * share
    return between.reshape(-1, *values.shape[1:])


def _outline(x: Floats, y: Floats, columns: Floats) -> Floats:
    """The largest y near each column; where there is none, between those of others, and beyond all more by what it is away."""
    step = columns[1] - columns[0]
    highest = np.full(len(columns), -np.inf)
    np.maximum.at(highest, np.clip((x / step).astype(int), 0, len(columns) - 1), y)
    known = np.isfinite(highest)
    beyond = np.maximum(columns[known][0] - columns, columns - columns[known][-1]).clip(0)
    return np.asarray(np.interp(columns, columns[known], highest[known]) + beyond, np.float32)


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


def _box(spots: Floats) -> Box:
    low, high = spots.min(0), spots.max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _with_gaze(blendshapes: Mapping[str, float], gaze: tuple[float, float]) -> dict[str, float]:
    """Turn gaze angles into the eyeLook shapes, on top of those given."""
    weights = dict(blendshapes)
    yaw, pitch = gaze[0] / LOOK_LIMIT, gaze[1] / LOOK_LIMIT
    moves = {
        "eyeLookOutLeft": yaw,
        "eyeLookInRight": yaw,
        "eyeLookInLeft": -yaw,
        "eyeLookOutRight": -yaw,
        "eyeLookUpLeft": pitch,
        "eyeLookUpRight": pitch,
        "eyeLookDownLeft": -pitch,
        "eyeLookDownRight": -pitch,
    }
    for name, amount in moves.items():
        if amount > 0:
            weights[name] = weights.get(name, 0.0) + amount
    return weights
