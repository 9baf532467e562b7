"""An offscreen renderer of synthetic heads (moderngl on EGL; the software rasteriser llvmpipe is enough)."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..head.anatomy import Anatomy
from ..head.head_mesh import HeadMesh
from ..head.identity import PersonIdentity
from ..head.scene import Scene, paint_backdrop
from .camera import EYE_DISTANCE, Camera, rotation_matrix
from .canvas import Canvas, RenderError
from .figure import build_figure, shadow_matrix
from .outlines import points_along, upper_envelope
from .render_targets import FLOW_SIZE
from .rendered_frame import (
    Pose,
    RenderedFrame,
    add_gaze,
    bounding_box,
)
from .surfaces import OUTSIDE

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

LIP_TOLERANCE = 0.004
"""Decimetres of gap between lips that count as closed."""
LIGHT_CENTRE = (0, 0.05, -0.6)
"""Centre of the shadow map."""

__all__ = ["FLOW_SIZE", "HeadRenderer", "RenderError", "RenderedFrame"]


class HeadRenderer:
    """Renders people in scenes. It keeps the last person and scene on the GPU. Make one per process.

    Args:
        size: Pixels per side.
        samples: MSAA samples of a pixel.
        detail: Number of hair locks relative to what suits 256 pixels; follows from the size by default.

    Raises:
        RenderError: There is no offscreen OpenGL.
    """

    def __init__(self, size: int = 256, samples: int = 4, detail: float | None = None) -> None:
        self.size = size
        self.detail = size / 256 if detail is None else detail
        self.anatomy = Anatomy.from_mesh(HeadMesh.load())
        self.mesh = self.anatomy.mesh
        self.canvas = Canvas(self.anatomy, size, samples)
        self._identity: PersonIdentity | None = None
        self._scene: Scene | None = None

    def render(
        self,
        identity: PersonIdentity,
        scene: Scene,
        blendshapes: Mapping[str, float],
        head_rotation: tuple[float, float, float] = (0.0, 0.0, 0.0),
        head_translation: tuple[float, float, float] = (0.0, 0.0, 0.0),
        gaze: tuple[float, float] = (0.0, 0.0),
    ) -> RenderedFrame:
        """Draw one frame; a new person costs some hundred milliseconds.

        Args:
            identity: The person.
            scene: Light, backdrop and framing.
            blendshapes: ARKit name -> weight in [0, 1].
            head_rotation: Yaw, pitch, roll in radians (positive: to the right of the image, up, counter-clockwise).
            head_translation: Decimetres to the right, up and nearer.
            gaze: Yaw and pitch in radians, right and up.

        Raises:
            RenderError: A blendshape does not exist.
        """
        if identity is not self._identity:
            self._figure = build_figure(self.anatomy, self.canvas, identity, self.detail)
            self._identity, self._scene = identity, None
        if scene is not self._scene:
            self._set_scene(scene)
            self._scene = scene
        weights = add_gaze(blendshapes, gaze)
        pose = self.pose(blendshapes, head_rotation, head_translation, gaze)
        self._set_pose(pose)
        key = np.asarray(scene.light.key_direction, np.float32)
        light = shadow_matrix(key, np.array(LIGHT_CENTRE, np.float32))
        self.canvas.draw_shadow_map(light)
        opening = self._lip_opening(pose.points)
        self.canvas.set_uniforms(
            {
                "view": self._camera.view,
                "shadow_mat": light,
                "opening": min(1.0, 0.12 + 3.0 * opening),
                "blink": (weights.get("eyeBlinkLeft", 0.0), weights.get("eyeBlinkRight", 0.0)),
            }
        )
        return self._measured(self.canvas.draw_frame(), opening, pose)

    def pose(
        self,
        blendshapes: Mapping[str, float],
        head_rotation: tuple[float, float, float] = (0.0, 0.0, 0.0),
        head_translation: tuple[float, float, float] = (0.0, 0.0, 0.0),
        gaze: tuple[float, float] = (0.0, 0.0),
    ) -> Pose:
        """Return the geometry of a frame of the last person and scene that were rendered; arguments as in `render`."""
        points = self._expressed(add_gaze(blendshapes, gaze))
        shift = np.asarray(head_translation, np.float32) - self._camera.origin
        return Pose(points, rotation_matrix(*head_rotation), shift)

    def flow(self, poses: Sequence[Pose], portrait: Pose) -> tuple[Floats, NDArray[np.uint8]]:
        """Return the flow from frames to a portrait, and the surface of each cell.

        Args:
            poses: Poses of T frames.
            portrait: Pose of the portrait.

        Returns:
            Flow (T, FLOW_SIZE, FLOW_SIZE, 2) in pixels, right and down; NaN inside the mouth, which a portrait need
            not show, and 0 in the background. Surfaces (T, FLOW_SIZE, FLOW_SIZE): OUTSIDE, FLESH or TEETH.
        """
        canvas = self.canvas
        canvas.set_portrait_positions(self._project(portrait.points, self.anatomy.weight, portrait))
        for layer in (canvas.cloth, canvas.hair):
            if layer is not None:
                layer.set_portrait_positions(self._project(layer.points, layer.weight, portrait))
        centres = (np.arange(FLOW_SIZE, dtype=np.float32) + 0.5) * (self.size / FLOW_SIZE)
        here = np.stack(np.meshgrid(centres, centres), -1)
        flows, surfaces = [], []
        for pose in poses:
            self._set_pose(pose)
            canvas.set_uniforms({"view": self._camera.view})
            there, surface, drawn = np.split(canvas.draw_flow_map(), (2, 3), axis=-1)
            flow = np.where(surface == OUTSIDE, there - here, np.nan)
            flows.append(np.where(drawn > 0, flow, 0))
            surfaces.append(surface[..., 0])
        return np.stack(flows).astype(np.float32), np.stack(surfaces).astype(np.uint8)

    def outlines(self, poses: Sequence[Pose]) -> Floats:
        """Return the edges of lips and teeth (T, 4, FLOW_SIZE): pixel rows, for each column of the flow map.

        In this order: lower edge of the upper lip, upper edge of the lower lip, lower edge of the upper teeth, upper
        edge of the lower teeth. To the left and right of the lips or teeth, upper edges continue downwards and lower
        ones upwards, so that nothing is between them.
        """
        anatomy = self.anatomy
        columns = (np.arange(FLOW_SIZE, dtype=np.float32) + 0.5) * (self.size / FLOW_SIZE)
        edges = np.empty((len(poses), 4, FLOW_SIZE), np.float32)
        for frame, pose in enumerate(poses):
            for row, ends in enumerate((*anatomy.lips, *anatomy.teeth)):
                points, weight = (points_along(values, ends) for values in (pose.points, anatomy.weight))
                x, y = self._project(points, weight, pose).T
                sign = -1 if row % 2 else 1
                edges[frame, row] = sign * upper_envelope(x, sign * y, columns)
        return edges

    def _set_scene(self, scene: Scene) -> None:
        light = scene.light
        self.canvas.set_uniforms(
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
        self.canvas.set_backdrop(paint_backdrop(scene.backdrop, self.size))
        self._camera = Camera.framing(self.anatomy, self._figure, scene)

    def _set_pose(self, pose: Pose) -> None:
        self.canvas.set_vertices(pose.points, self.anatomy.normals.estimate(pose.points))
        self.canvas.set_uniforms({"head": pose.head, "pivot": self._camera.pivot, "shift": pose.shift})

    def _expressed(self, weights: Mapping[str, float]) -> Floats:
        """Return the shared positions (n, 3) of the last person with these blendshapes."""
        points = self._figure.neutral.copy()
        for name, weight in weights.items():
            unit = self.mesh.units.get(name)
            if unit is None:
                raise RenderError(f"expected ARKit blendshape names such as jawOpen, got {name!r}")
            if weight:
                points[unit.rows] += np.float32(weight) * unit.moves
        return points

    def _lip_opening(self, points: Floats) -> float:
        """Return `RenderedFrame.lip_opening` of points (n, 3)."""
        landmarks, (left, right) = self.anatomy.landmarks, self._figure.eye_centres
        gap = float(points[landmarks["lip_upper"], 1] - points[landmarks["lip_lower"], 1]) - LIP_TOLERANCE
        return max(0.0, gap) / float(np.linalg.norm(left - right))

    def _project(self, points: Floats, weight: Floats, pose: Pose) -> Floats:
        """Return the pixels (n, 2) of points (n, 3) at rest that follow the head by weights (n,)."""
        return self._camera.project(points, weight, pose.head, pose.shift, self.size)

    def _measured(self, pixels: Pixels, opening: float, pose: Pose) -> RenderedFrame:
        anatomy = self.anatomy
        landmarks, lips, face = (
            self._project(pose.points[rows], anatomy.weight[rows], pose)
            for rows in (np.array(list(anatomy.landmarks.values())), anatomy.lip_rows, anatomy.face_rows)
        )
        named = {
            name: (float(x), float(y)) for name, (x, y) in zip(anatomy.landmarks, landmarks, strict=True)
        }
        return RenderedFrame(pixels, opening, bounding_box(face), bounding_box(lips), named)
