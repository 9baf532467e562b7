"""Render talking clips: frames, audio and everything that is known about them.

    python -m lipstream_training.stages.render_clips --out DIR --clips 300

Several processes may share a folder (`--part 0 --parts 2`); clips that are there are skipped.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from ..data.dataset import REFERENCES, ClipTruth, save_clip
from ..diffusion.audio_to_blendshapes import load_mouth_predictor
from ..head.identity import PersonIdentity
from ..head.scene import Scene
from ..motion.animation import Animation
from ..motion.script import MouthPredictor, make_clip
from ..motion.talks import load_talks
from ..rendering.renderer import HeadRenderer
from ..speech.phones import Speech

SPLITS = {"train": "train", "validation": "train", "heldout": "heldout"}
"""Splits of clips, and the voices and sentences that each has."""
FRAMING = 1.15
"""Factor on the face's share of the frame.

The landmarker's outline of a face ends above the renderer's hairline; with this factor it fills 0.55 to 0.65.
"""
MAX_BLINK = 0.3
"""Largest eyeBlink weight of a frame that serves as a portrait."""

Angles = tuple[float, float, float]
PoseArguments = tuple[dict[str, float], Angles, Angles, tuple[float, float]]


def clip_seed(split: str, number: int) -> list[int]:
    """Return the seed of the person and the scene of a clip."""
    return [list(SPLITS).index(split), number]


def clip_speech(
    split: str, number: int, seed: int, seconds: float, mouth_predictor: MouthPredictor | None = None
) -> tuple[Speech, Animation]:
    """Return a clip's speech and animation.

    The first held-out clips use the talks that are in the repository, so that no voice has to be installed for them.
    """
    if split == "heldout" and number < len(talks := load_talks()):
        return talks[number]
    return make_clip(seed, seconds, SPLITS[split], mouth_predictor=mouth_predictor)


def pose_arguments(animation: Animation, frame: int) -> PoseArguments:
    """Return the blendshapes, head rotation, head translation and gaze of a frame."""
    blendshapes = dict(zip(animation.names, map(float, animation.blendshapes[frame]), strict=True))
    rotation, translation = animation.head_rotation[frame], animation.head_translation[frame]
    return blendshapes, tuple(rotation), tuple(translation), tuple(animation.gaze[frame])


def pick_references(animation: Animation, rng: np.random.Generator) -> list[int]:
    """Return the frames that serve as portraits, spread over the clip, with open eyes where there are any."""
    blink = animation.track("eyeBlinkLeft")
    parts = np.array_split(np.arange(len(blink)), REFERENCES)
    awake = [part[blink[part] < MAX_BLINK] for part in parts]
    return [int(rng.choice(open_ if len(open_) else part)) for open_, part in zip(awake, parts, strict=True)]


def render_clip(
    renderer: HeadRenderer,
    split: str,
    number: int,
    seconds: float,
    folder: Path,
    mouth_predictor: MouthPredictor | None = None,
) -> None:
    """Render one clip of a new person in a new scene into a folder.

    The same split, number and mouth predictor give the same clip.

    Args:
        renderer: The renderer.
        split: One of `SPLITS`.
        number: Number of the clip.
        seconds: Length of the clip.
        folder: Folder to write the clip to.
        mouth_predictor: Predicts the mouths from the audio; without it they follow the phones.
    """
    rng = np.random.default_rng(clip_seed(split, number))
    identity, scene = PersonIdentity.sample(rng), Scene.sample(rng)
    scene = dataclasses.replace(scene, face_fraction=scene.face_fraction * FRAMING)
    speech, animation = clip_speech(split, number, int(rng.integers(2**31)), seconds, mouth_predictor)
    arguments = [pose_arguments(animation, i) for i in range(len(animation.blendshapes))]
    frames = [renderer.render(identity, scene, *pose) for pose in arguments]
    references = pick_references(animation, np.random.default_rng([7, number]))
    poses = [renderer.pose(*pose) for pose in arguments]
    flows, (inside, *_) = zip(*(renderer.flow(poses, poses[i]) for i in references), strict=True)
    truth = ClipTruth(
        audio=speech.audio[: 640 * len(frames)].astype(np.float32),
        blendshapes=animation.blendshapes.astype(np.float32),
        lip_opening=np.array([frame.lip_opening for frame in frames], np.float32),
        closures=np.array(animation.closures, np.int64),
        face_box=np.array([frame.face_box for frame in frames], np.float32),
        mouth_box=np.array([frame.mouth_box for frame in frames], np.float32),
        references=np.array(references),
        flow=np.stack(flows).astype(np.float16),
        inside=inside,
        outlines=renderer.outlines(poses),
    )
    save_clip(folder, np.stack([frame.pixels for frame in frames]), truth)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Render talking clips of synthetic heads.")
    parser.add_argument("--out", type=Path, required=True, help="Folder to write the clips to.")
    parser.add_argument("--split", choices=SPLITS, default="train", help="Split of the clips.")
    parser.add_argument("--first", type=int, default=0, help="Number of the first clip.")
    parser.add_argument("--clips", type=int, default=300, help="Number of clips.")
    parser.add_argument("--seconds", type=float, default=2.6, help="Seconds of a clip.")
    parser.add_argument("--part", type=int, default=0, help="Number of this process among those that share.")
    parser.add_argument("--parts", type=int, default=1, help="Number of processes that share the clips.")
    parser.add_argument(
        "--run",
        type=Path,
        help="Run whose audio-to-blendshapes network predicts the mouths; without it they follow the phones.",
    )
    arguments = parser.parse_args()
    mouth_predictor = None if arguments.run is None else load_mouth_predictor(arguments.run)
    renderer = HeadRenderer(256)
    for number in range(arguments.first + arguments.part, arguments.first + arguments.clips, arguments.parts):
        folder = arguments.out / arguments.split / f"{number:04d}"
        if not (folder / "truth.npz").exists():
            render_clip(renderer, arguments.split, number, arguments.seconds, folder, mouth_predictor)
            print(folder, flush=True)


if __name__ == "__main__":
    main()
