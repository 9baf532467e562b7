"""Renders talking clips: audio and frames. `python -m lipstream_training.data.render_clips --out DIR --clips 300`.

Several processes may work on one folder (`--part 0 --parts 2`); what is there already is left alone.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from ..diffusion.audio_to_blendshapes import heard_mouth
from ..head.identity import Identity
from ..head.renderer import HeadRenderer
from ..head.scene import Scene
from ..motion.animation import Animation
from ..motion.script import Listener, make_clip
from ..motion.talks import load_talks
from ..speech.phones import Speech
from .dataset import REFERENCES, ClipTruth, save_clip

SPLITS = {"train": "train", "validation": "train", "heldout": "heldout"}
# The landmarker's outline of a face reaches higher than the renderer's hairline; with this factor it fills 0.55 to 0.65.
OUTLINE = 1.15
BLINK = 0.3
"""Of eyeBlink: what is shown as a portrait has its eyes open further."""

Angles = tuple[float, float, float]


def clip_seed(split: str, number: int) -> list[int]:
    return [list(SPLITS).index(split), number]


def talk(
    split: str, number: int, seed: int, seconds: float, listener: Listener | None = None
) -> tuple[Speech, Animation]:
    """What is said in a clip. The first held-out talks ship with the project, so that no voice has to be installed for them."""
    if split == "heldout" and number < len(talks := load_talks()):
        return talks[number]
    return make_clip(seed, seconds, SPLITS[split], listener=listener)


def moment(animation: Animation, frame: int) -> tuple[dict[str, float], Angles, Angles, tuple[float, float]]:
    """Blendshapes, head rotation and translation, and gaze of a frame."""
    shapes = dict(zip(animation.names, map(float, animation.blendshapes[frame]), strict=True))
    rotation, translation = animation.head_rotation[frame], animation.head_translation[frame]
    return shapes, tuple(rotation), tuple(translation), tuple(animation.gaze[frame])


def references(animation: Animation, rng: np.random.Generator) -> list[int]:
    """Frames that can serve as portraits, spread over the clip, with open eyes where there are such."""
    shut = animation.track("eyeBlinkLeft")
    parts = np.array_split(np.arange(len(shut)), REFERENCES)
    awake = [part[shut[part] < BLINK] for part in parts]
    return [int(rng.choice(open_ if len(open_) else part)) for open_, part in zip(awake, parts, strict=True)]


def render_clip(
    renderer: HeadRenderer,
    split: str,
    number: int,
    seconds: float,
    folder: Path,
    listener: Listener | None = None,
) -> None:
    """One clip of a new identity in a new scene; the same split, number and listener give the same clip."""
    rng = np.random.default_rng(clip_seed(split, number))
    identity, scene = Identity.sample(rng), Scene.sample(rng)
    scene = dataclasses.replace(scene, face_fraction=scene.face_fraction * OUTLINE)
    speech, animation = talk(split, number, int(rng.integers(2**31)), seconds, listener)
    moments = range(len(animation.blendshapes))
    frames = [renderer.render(identity, scene, *moment(animation, i)) for i in moments]
    portraits = references(animation, np.random.default_rng([7, number]))
    poses = [renderer.pose(*moment(animation, i)) for i in moments]
    flows, (inside, *_) = zip(*(renderer.flow(poses, poses[i]) for i in portraits), strict=True)
    truth = ClipTruth(
        audio=speech.audio[: 640 * len(frames)].astype(np.float32),
        blendshapes=animation.blendshapes.astype(np.float32),
        lip_opening=np.array([frame.lip_opening for frame in frames], np.float32),
        closures=np.array(animation.closures, np.int64),
        face_box=np.array([frame.face_box for frame in frames], np.float32),
        mouth_box=np.array([frame.mouth_box for frame in frames], np.float32),
        references=np.array(portraits),
        flow=np.stack(flows).astype(np.float16),
        inside=inside,
        outlines=renderer.outlines(poses),
    )
    save_clip(folder, np.stack([frame.pixels for frame in frames]), truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=2.6)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument(
        "--run", type=Path, help="whose sounds were learnt (`heard_mouth`): mouths move as those let expect"
    )
    arguments = parser.parse_args()
    listener = None if arguments.run is None else heard_mouth(arguments.run)
    renderer = HeadRenderer(256)
    for number in range(arguments.first + arguments.part, arguments.first + arguments.clips, arguments.parts):
        folder = arguments.out / arguments.split / f"{number:04d}"
        if not (folder / "truth.npz").exists():
            render_clip(renderer, arguments.split, number, arguments.seconds, folder, listener)
            print(folder, flush=True)


if __name__ == "__main__":
    main()
