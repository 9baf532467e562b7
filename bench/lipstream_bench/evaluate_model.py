"""`python -m lipstream_bench.evaluate_model`: the bundled model on faces, voices and sentences that training never saw.

The true clips are rendered by the training room's head (Debian: libegl1 libgl1-mesa-dri), so every frame has an exact answer.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lipstream_models.bundled import load_bundled
from lipstream_models.device.allocator import keep_freed_memory
from lipstream_models.model import Model
from lipstream_models.pipeline import Sampling, TalkingHeadPipeline
from lipstream_models.portrait import FaceLandmarker
from lipstream_models.quality.animation import animate
from lipstream_models.quality.image_quality import psnr, sharpness
from lipstream_models.quality.lip_sync import compare, lip_track
from lipstream_training.data.dataset import Clip, load_clips
from lipstream_training.data.render_clips import render_clip
from lipstream_training.head.renderer import HeadRenderer

from .machine.machine import machine

Frames = NDArray[np.uint8]
CLIPS = 12
CLIP_SECONDS = 5.16  # with twelve clips, 61.9 s in all


@dataclass(frozen=True)
class ModelScores:
    """All figures of the table; decibels, shares and frames as the names say."""

    clips: int
    seconds: float
    autoencoder_whole_db: float
    autoencoder_face_db: float
    autoencoder_mouth_db: float
    true_render_lip_correlation: float
    lip_correlation: float
    lag_frames: float
    closures_closed: float
    face_db: float
    drift_sharpness: float
    drift_face_db: float


def held_out_clips(folder: Path) -> list[Clip]:
    """The same people, voices and sentences every time; what is missing in the folder is rendered."""
    missing = [n for n in range(CLIPS) if not (folder / f"{n:04d}" / "truth.npz").exists()]
    if missing:
        renderer = HeadRenderer(256)
        for number in missing:
            print(f"rendering held-out clip {number + 1} of {CLIPS}", flush=True)
            render_clip(renderer, "heldout", number, CLIP_SECONDS, folder / f"{number:04d}")
    return load_clips(folder)


def reconstruct(model: Model, frames: Frames) -> Frames:
    """Through the autoencoder and back."""
    parts = []
    for start in range(0, len(frames), 16):
        images = torch.from_numpy(np.array(frames[start : start + 16])).permute(0, 3, 1, 2)
        latents = model.codec.encode((images.to(model.device, model.dtype) / 127.5) - 1)
        back = (model.codec.decode(latents).float() + 1) * 127.5
        parts.append(back.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(parts)


def score(
    engine: TalkingHeadPipeline, clips: list[Clip], sampling: Sampling, drift_seconds: float
) -> tuple[ModelScores, list[Frames]]:
    landmarker = FaceLandmarker()
    rows, made = [], []
    for clip in clips:
        windows = animate(engine, np.array(clip.frames[0]), clip.truth.audio, sampling)
        frames = np.concatenate([window.frames for window in windows])
        length = len(frames)
        truth = np.array(clip.frames[:length])
        sync = compare(
            lip_track(frames, landmarker),
            clip.truth.lip_opening[:length].astype(np.float64),
            clip.truth.closures,
        )
        ceiling = compare(
            lip_track(truth, landmarker),
            clip.truth.lip_opening[:length].astype(np.float64),
            clip.truth.closures,
        )
        back = reconstruct(engine.model, truth)
        face, mouth = clip.truth.face_box[:length], clip.truth.mouth_box[:length]
        rows.append(
            {
                "autoencoder_whole_db": psnr(back, truth),
                "autoencoder_face_db": psnr(back, truth, face),
                "autoencoder_mouth_db": psnr(back, truth, mouth),
                "true_render_lip_correlation": ceiling.correlation,
                "lip_correlation": sync.correlation,
                "lag_frames": sync.lag,
                "closures_closed": sync.closures,
                "face_db": psnr(frames, truth, face),
            }
        )
        print(
            json.dumps({"clip": clip.name, **{k: round(float(v), 3) for k, v in rows[-1].items()}}),
            flush=True,
        )
        made.append(frames)
    means = {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}
    drift = drift_of(engine, clips[0], sampling, drift_seconds)
    total = sum(len(frames) for frames in made)
    return ModelScores(clips=len(clips), seconds=total / engine.model.fps, **means, **drift), made


def drift_of(engine: TalkingHeadPipeline, clip: Clip, sampling: Sampling, seconds: float) -> dict[str, float]:
    """Sharpness of the last window over that of the first, and the loss of face PSNR against the portrait, in a long clip."""
    repeats = int(np.ceil(seconds * 16000 / len(clip.truth.audio)))
    audio = np.tile(clip.truth.audio, repeats)[: int(seconds * 16000)]
    portrait = np.array(clip.frames[0])
    first = last = None
    for window in animate(engine, portrait, audio, sampling):
        first = window.frames if first is None else first
        last = window.frames
    if first is None or last is None:
        raise ValueError(f"a drift clip of {seconds} s is shorter than one window")
    box = np.repeat(clip.truth.face_box[:1], len(first), 0)
    still = np.repeat(portrait[None], len(first), 0)
    return {
        "drift_sharpness": sharpness(last, box) / sharpness(first, box),
        "drift_face_db": psnr(last, still, box) - psnr(first, still, box),
    }


def table(scores: ModelScores) -> str:
    """The Markdown table of the README."""
    rows = [f"| {name.replace('_', ' ')} | {value:.3g} |" for name, value in asdict(scores).items()]
    return "\n".join(["| figure | value |", "|---|---|", *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--clips", type=Path, default=Path("runs/heldout"), help="rendered here if not there yet"
    )
    parser.add_argument("--preset", default=None, help="or a plan's JSON file; the model's own without it")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--guidance", type=float, default=None)
    parser.add_argument("--drift-seconds", type=float, default=60.0)
    parser.add_argument("--limit", type=int, default=None, help="use only the first clips")
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    keep_freed_memory()
    model = load_bundled()
    sampling = Sampling.of(model, arguments.preset, arguments.steps, arguments.guidance)
    clips = held_out_clips(arguments.clips)[: arguments.limit]
    scores, _ = score(TalkingHeadPipeline(model), clips, sampling, arguments.drift_seconds)
    here = machine()
    print(f"\n{here['date']}, {here['processor']}, {torch.get_num_threads()} threads")
    print(f"{sampling.preset}, {sampling.steps} steps, guidance {sampling.guidance}\n")
    print(table(scores))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(asdict(scores), indent=2) + "\n")


if __name__ == "__main__":
    main()
