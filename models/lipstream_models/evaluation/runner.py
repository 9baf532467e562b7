"""Presets on videos: time, fidelity to base and to the video and, with the networks for it, FID, FVD and Sync."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from ..errors import LipstreamError
from ..pipeline import Sampling, TalkingHeadPipeline
from ..portrait import FaceLandmarker
from ..quality.feature_networks import Features
from ..quality.fidelity import (
    Fidelity,
    TrueClip,
    compare_presets,
    known_mean,
    mean_fidelity,
)
from ..quality.frechet import Moments, frechet_distance
from ..quality.image_quality import Frames
from ..quality.lip_sync import face_track
from ..quality.syncnet import SyncNet, sync_confidence
from ..quality.video_clip import face_boxes

UNKNOWN = float("nan")


@dataclass(frozen=True, eq=False)
class Judges:
    """Networks that look at frames; a figure whose network is missing is left out."""

    inception: Features | None = None
    i3d: Features | None = None
    syncnet: SyncNet | None = None


@dataclass(frozen=True)
class PresetFigures:
    """denoising: seconds of a window, median; ratio: base's time over this preset's, window by window, median. fid, fvd: to the
    frames of the videos; sync: mean confidence. NaN for what was not measured.
    """

    denoising: float
    ratio: float
    fidelity: Fidelity
    fid: float
    fvd: float
    sync: float


@dataclass(frozen=True)
class Evaluation:
    """figures: by preset, base first. frames, clips: of the videos, as FID and FVD counted them; video_sync: of the videos."""

    figures: Mapping[str, PresetFigures]
    videos: tuple[str, ...]
    frames: int
    clips: int
    video_sync: float


@dataclass(eq=False)
class _Set:
    """What was gathered of one preset, or of the videos themselves."""

    denoising: list[float] = field(default_factory=list)
    rows: list[Fidelity] = field(default_factory=list)
    frames: Moments = field(default_factory=Moments)
    clips: Moments = field(default_factory=Moments)
    sync: list[float] = field(default_factory=list)
    shown: int = 0

    def look(self, frames: Frames, clip: TrueClip, judges: Judges, landmarker: FaceLandmarker) -> None:
        self.shown += len(frames)
        if judges.inception is not None:
            self.frames.add(judges.inception(frames))
        if judges.i3d is not None and len(clips := judges.i3d(frames)):
            self.clips.add(clips)
        if judges.syncnet is not None:
            boxes = face_boxes(face_track(frames, landmarker))
            self.sync.append(sync_confidence(judges.syncnet, frames, boxes, clip.audio))


def evaluate(
    engine: TalkingHeadPipeline, clips: Iterable[TrueClip], samplings: Mapping[str, Sampling], judges: Judges
) -> Evaluation:
    """The first sampling is base. Clips are asked for one at a time and forgotten. Raises LipstreamError if there is none."""
    landmarker = FaceLandmarker()
    truth, made = _Set(), {name: _Set() for name in samplings}
    videos = []
    for clip in clips:
        for found in compare_presets(engine, clip, samplings, landmarker):
            own, shown = made[found.preset], len(found.frames)
            own.denoising += found.denoising
            own.rows.append(found.fidelity)
            own.look(found.frames, clip, judges, landmarker)
        truth.look(clip.frames[:shown], clip, judges, landmarker)
        videos.append(clip.name)
    if not videos:
        raise LipstreamError("not one of the videos can be used")
    base = next(iter(made.values())).denoising
    figures = {name: _figures(name, own, base, truth) for name, own in made.items()}
    return Evaluation(figures, tuple(videos), truth.shown, truth.clips.count, known_mean(truth.sync))


def _figures(name: str, own: _Set, base: Sequence[float], truth: _Set) -> PresetFigures:
    return PresetFigures(
        denoising=median(own.denoising),
        ratio=median(b / a for a, b in zip(own.denoising, base, strict=True)),
        fidelity=mean_fidelity(name, own.rows),
        fid=_distance(own.frames, truth.frames),
        fvd=_distance(own.clips, truth.clips),
        sync=known_mean(own.sync),
    )


def _distance(a: Moments, b: Moments) -> float:
    return frechet_distance(a.gaussian(), b.gaussian()) if a.count and b.count else UNKNOWN
