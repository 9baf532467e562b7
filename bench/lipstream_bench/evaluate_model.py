"""`python -m lipstream_bench.evaluate_model`: the bundled model on held-out faces, voices and sentences.

The true clips are rendered (Debian: libegl1 libgl1-mesa-dri), so every frame has a known target.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lipstream_models.audio.samples import SAMPLE_RATE
from lipstream_models.bundled import load_bundled
from lipstream_models.device.allocator import keep_freed_memory
from lipstream_models.model import Model
from lipstream_models.pipeline import TalkingHeadPipeline
from lipstream_models.portrait import FaceLandmarker
from lipstream_models.quality.animation import animate_portrait
from lipstream_models.quality.image_quality import psnr, sharpness
from lipstream_models.quality.lip_sync import compare_tracks, lip_track
from lipstream_models.sampling import Sampling
from lipstream_training.data.dataset import RenderedClip, load_clips
from lipstream_training.rendering.renderer import HeadRenderer
from lipstream_training.stages.render_clips import render_clip

from .machine.machine import describe_machine

Frames = NDArray[np.uint8]
CLIPS = 12
CLIP_SECONDS = 5.16  # with twelve clips, 61.9 s in all


@dataclass(frozen=True)
class ModelScores:
    """Scores of a model, means over clips.

    Attributes:
        clips: Number of clips.
        seconds: Length of all generated frames.
        autoencoder_whole_db: PSNR of the autoencoder on whole frames.
        autoencoder_face_db: PSNR of the autoencoder inside the face.
        autoencoder_mouth_db: PSNR of the autoencoder inside the mouth.
        true_render_lip_correlation: Correlation of measured and true lips on the true frames.
        lip_correlation: The same on generated frames.
        lag_frames: Frames by which generated lips trail the true ones.
        closures_closed: Share of the true closures that are generated.
        face_db: PSNR of generated faces.
        drift_sharpness: Sharpness of the last window over that of the first in a long clip.
        drift_face_db: PSNR to the portrait of the last window minus that of the first in a long clip.
    """

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


def held_out_clips(folder: Path) -> list[RenderedClip]:
    """Load the held-out clips, always the same people, voices and sentences; missing ones are rendered."""
    missing = [n for n in range(CLIPS) if not (folder / f"{n:04d}" / "truth.npz").exists()]
    if missing:
        renderer = HeadRenderer(256)
        for number in missing:
            print(f"rendering held-out clip {number + 1} of {CLIPS}", flush=True)
            render_clip(renderer, "heldout", number, CLIP_SECONDS, folder / f"{number:04d}")
    return load_clips(folder)


def reconstruct(model: Model, frames: Frames) -> Frames:
    """Encode and decode (T, H, W, 3) uint8 frames by the autoencoder; (T, H, W, 3) uint8."""
    parts = []
    for start in range(0, len(frames), 16):
        images = torch.from_numpy(np.array(frames[start : start + 16])).permute(0, 3, 1, 2)
        latents = model.codec.encode((images.to(model.device, model.dtype) / 127.5) - 1)
        decoded = (model.codec.decode(latents).float() + 1) * 127.5
        parts.append(decoded.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(parts)


def score_model(
    engine: TalkingHeadPipeline, clips: list[RenderedClip], sampling: Sampling, drift_seconds: float
) -> tuple[ModelScores, list[Frames]]:
    """Generate all clips and score them.

    Returns:
        The scores, and the frames (T, H, W, 3) of each clip.
    """
    landmarker = FaceLandmarker()
    rows, generated = [], []
    for clip in clips:
        windows = animate_portrait(engine, np.array(clip.frames[0]), clip.truth.audio, sampling)
        frames = np.concatenate([window.frames for window in windows])
        length = len(frames)
        truth = np.array(clip.frames[:length])
        sync = compare_tracks(
            lip_track(frames, landmarker),
            clip.truth.lip_opening[:length].astype(np.float64),
            clip.truth.closures,
        )
        ceiling = compare_tracks(
            lip_track(truth, landmarker),
            clip.truth.lip_opening[:length].astype(np.float64),
            clip.truth.closures,
        )
        reconstructed = reconstruct(engine.model, truth)
        face, mouth = clip.truth.face_box[:length], clip.truth.mouth_box[:length]
        rows.append(
            {
                "autoencoder_whole_db": psnr(reconstructed, truth),
                "autoencoder_face_db": psnr(reconstructed, truth, face),
                "autoencoder_mouth_db": psnr(reconstructed, truth, mouth),
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
        generated.append(frames)
    means = {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}
    drift = measure_drift(engine, clips[0], sampling, drift_seconds)
    total = sum(len(frames) for frames in generated)
    return ModelScores(clips=len(clips), seconds=total / engine.model.fps, **means, **drift), generated


def measure_drift(
    engine: TalkingHeadPipeline, clip: RenderedClip, sampling: Sampling, seconds: float
) -> dict[str, float]:
    """Compare the last window of a long clip with the first: sharpness, and face PSNR to the portrait."""
    repeats = int(np.ceil(seconds * SAMPLE_RATE / len(clip.truth.audio)))
    audio = np.tile(clip.truth.audio, repeats)[: int(seconds * SAMPLE_RATE)]
    portrait = np.array(clip.frames[0])
    first = last = None
    for window in animate_portrait(engine, portrait, audio, sampling):
        first = window.frames if first is None else first
        last = window.frames
    if first is None or last is None:
        raise ValueError(
            f"expected a drift clip of at least one window, got {seconds} s; raise --drift-seconds"
        )
    box = np.repeat(clip.truth.face_box[:1], len(first), 0)
    still = np.repeat(portrait[None], len(first), 0)
    return {
        "drift_sharpness": sharpness(last, box) / sharpness(first, box),
        "drift_face_db": psnr(last, still, box) - psnr(first, still, box),
    }


def scores_table(scores: ModelScores) -> str:
    """Return the scores as a Markdown table."""
    rows = [f"| {name.replace('_', ' ')} | {value:.3g} |" for name, value in asdict(scores).items()]
    return "\n".join(["| figure | value |", "|---|---|", *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--clips",
        type=Path,
        default=Path("runs/heldout"),
        help="Folder of held-out clips, which are rendered if they are missing.",
    )
    parser.add_argument(
        "--preset", default=None, help="Preset, or JSON file of a plan. Without it, the model's own."
    )
    parser.add_argument("--steps", type=int, default=None, help="Number of sampling steps.")
    parser.add_argument("--guidance", type=float, default=None, help="Guidance scale.")
    parser.add_argument(
        "--drift-seconds", type=float, default=60.0, help="Length of the drift clip in seconds."
    )
    parser.add_argument("--limit", type=int, default=None, help="Number of clips. Without it, all.")
    parser.add_argument("--json", type=Path, default=None, help="JSON file for the scores.")
    arguments = parser.parse_args()
    keep_freed_memory()
    model = load_bundled()
    sampling = Sampling.for_model(model, arguments.preset, arguments.steps, arguments.guidance)
    clips = held_out_clips(arguments.clips)[: arguments.limit]
    scores, _ = score_model(TalkingHeadPipeline(model), clips, sampling, arguments.drift_seconds)
    here = describe_machine()
    print(f"\n{here['date']}, {here['processor']}, {torch.get_num_threads()} threads")
    print(f"{sampling.preset}, {sampling.steps} steps, guidance {sampling.guidance}\n")
    print(scores_table(scores))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(asdict(scores), indent=2) + "\n")


if __name__ == "__main__":
    main()
