"""Measure the constants of `geometry_embedding` on made heads.

    python -m lipstream_training.head.geometry_basis --heads 130 --out geometry_basis.npz

Each head is drawn with several expressions and turns and its landmarks are found again. Points that
differ between heads more than within one head's views are kept; their spread makes the embedding of about
unit variance.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lipstream_models.portrait.landmark_ids import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS
from lipstream_models.portrait.landmarks import FaceLandmarker
from lipstream_models.portrait.similarity_transform import align_points

from .identity import Identity
from .renderer import HeadRenderer
from .scene import Scene

Floats = NDArray[np.float32]

MESH_POINTS = 468  # the ten iris points after them move with the gaze
CHOSEN = 256
LOWEST_RIGID = 0.9  # inter-ocular distances below the eyes; the jaw and the lips hang below

EXPRESSIONS: tuple[dict[str, float], ...] = (
    {},
    {"jawOpen": 0.7, "mouthLowerDownLeft": 0.3, "mouthLowerDownRight": 0.3},
    {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "cheekSquintLeft": 0.5, "cheekSquintRight": 0.5},
    {"mouthPucker": 0.8, "mouthFunnel": 0.4, "jawOpen": 0.15},
    {"browInnerUp": 0.8, "browOuterUpLeft": 0.6, "browOuterUpRight": 0.6, "eyeWideLeft": 0.5},
    {"browDownLeft": 0.8, "browDownRight": 0.8, "eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
)
# yaw, pitch, roll in radians; each expression is drawn frontally and with one of these
TURNS = (
    (0.25, 0.0, 0.0),
    (0.1, 0.0, 0.0),
    (-0.15, 0.05, 0.05),
    (0.05, -0.1, 0.0),
    (-0.05, 0.08, -0.08),
    (0.25, 0, 0),
)


def landmarks_of_heads(heads: int, seed: int) -> Floats:
    """(heads, views, 478, 3) landmarks in pixels; a view without a found face is left out with its head."""
    renderer, landmarker, rng = HeadRenderer(256), FaceLandmarker(), np.random.default_rng(seed)
    measured: list[list[Floats]] = []
    while len(measured) < heads:
        identity, scene = Identity.sample(rng), Scene.sample(rng)
        views = []
        for expression, turn in zip(EXPRESSIONS, TURNS, strict=True):
            for rotation in ((0.0, 0.0, 0.0), turn):
                pixels = renderer.render(identity, scene, expression, rotation).pixels
                views.append(landmarker.detect(np.ascontiguousarray(pixels)))
        if all(views):
            measured.append([faces[0].landmarks for faces in views])
    return np.array(measured, np.float32)


def measure(landmarks: Floats) -> dict[str, NDArray[np.float32] | NDArray[np.int64]]:
    """The arrays of `geometry_basis.npz` from (heads, views, 478, 3) landmarks."""
    mean = _normalised(landmarks[0, 0])
    rigid = np.ones(landmarks.shape[2], np.float32)
    rigid[MESH_POINTS:] = 0
    for _ in range(4):
        aligned = np.array([[align_points(view, mean, rigid) for view in head] for head in landmarks])
        mean = _normalised(aligned[:, :2].mean(axis=(0, 1)))
        wobble = aligned.var(axis=1).mean(axis=0).sum(axis=1)
        # points that stay put on a head place it; the median keeps the best few from deciding alone
        rigid = (1 / (wobble + 0.2 * np.median(wobble))).astype(np.float32)
        rigid[mean[:, 1] > LOWEST_RIGID] = 0
        rigid[MESH_POINTS:] = 0
    rigid /= rigid.sum()
    aligned = np.array([[align_points(view, mean, rigid) for view in head] for head in landmarks])[..., :2]
    between = aligned.mean(axis=1).var(axis=0).sum(axis=1)
    within = aligned.var(axis=1).mean(axis=0).sum(axis=1)
    chosen = np.sort(np.argsort(-(between / within)[:MESH_POINTS], kind="stable")[:CHOSEN])
    spread = aligned[:, :, chosen].std(axis=(0, 1)).astype(np.float32)
    return {"mean": mean, "rigid": rigid, "chosen": chosen.astype(np.int64), "spread": spread}


def _normalised(points: Floats) -> Floats:
    """The middle between the eyes at the origin, the eyes one unit apart."""
    right, left = (points[list(ids)].mean(axis=0) for ids in (RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS))
    normalised: Floats = ((points - (right + left) / 2) / np.linalg.norm(left - right)).astype(np.float32)
    return normalised


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", type=int, default=130)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    np.savez_compressed(options.out, **measure(landmarks_of_heads(options.heads, options.seed)))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
