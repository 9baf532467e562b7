"""The camera: how a scene frames a face, and where points of the head lie in the image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..head.anatomy import Anatomy
from ..head.scene import Scene
from .figure import Figure

Floats = NDArray[np.float32]

EYE_DISTANCE = 12.0
"""Decimetres from the camera to the eyes."""


@dataclass(frozen=True)
class Camera:
    """A perspective camera in front of a head.

    Attributes:
        view: (4, 4) matrix from world to clip coordinates.
        origin: (3,) position of the head that is the origin of the world.
        pivot: (3,) point about which the head turns.
    """

    view: Floats
    origin: Floats
    pivot: Floats

    @classmethod
    def framing(cls, anatomy: Anatomy, figure: Figure, scene: Scene) -> "Camera":
        """Return the camera for which the face, from hairline to chin, fills the scene's share of the height."""
        t, neutral = anatomy.mesh.template, figure.neutral
        front = anatomy.outer & (np.abs(t[:, 0]) < 0.12) & (t[:, 2] > 0.8)
        chin = float(neutral[front & (t[:, 1] < 5.95), 1].min())
        top = float(neutral[front][np.argmin(np.abs(t[front, 1] - 7.45)), 1])
        half = (top - chin) / scene.face_fraction / 2
        eyes = (figure.eye_centres[0] + figure.eye_centres[1]) / 2
        right, up = (2 * half * x for x in scene.offset)
        near, far, f = EYE_DISTANCE - 4, EYE_DISTANCE + 5, EYE_DISTANCE / half
        view = np.diag([f, f, (far + near) / (near - far), 0]).astype(np.float32)
        view[2, 3] = 2 * far * near / (near - far) - EYE_DISTANCE * view[2, 2]
        view[3] = 0, 0, -1, EYE_DISTANCE
        origin = np.array([right, (top + chin) / 2 + 0.02 * half + up, eyes[2]], np.float32)
        return cls(view, origin, np.array([0, eyes[1] - 0.95, eyes[2] - 0.85], np.float32))

    def project(self, points: Floats, weight: Floats, head: Floats, shift: Floats, size: int) -> Floats:
        """Return the pixels (n, 2) of points in an image of ``size`` pixels per side.

        Args:
            points: (n, 3) positions at rest.
            weight: (n,) how much each of them follows the head's rotation.
            head: (3, 3) rotation of the head.
            shift: (3,) translation.
            size: Pixels per side.
        """
        turned = (points - self.pivot) @ head.T + self.pivot
        world = points + (turned - points) * weight[:, None] + shift
        flat = (world @ self.view[:3, :3].T + self.view[:3, 3])[:, :2] / (EYE_DISTANCE - world[:, 2:])
        return np.asarray((flat * [1, -1] + 1) * size / 2, np.float32)


def rotation_matrix(yaw: float, pitch: float, roll: float) -> Floats:
    """Return the rotation (3, 3) that pitches, then yaws, then rolls; angles in radians."""
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
