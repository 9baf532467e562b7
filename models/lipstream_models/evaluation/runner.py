"""Evaluation of presets on videos: time, fidelity and, where networks are given, FID, FVD and Sync."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from ..errors import LipstreamError
from ..pipeline import TalkingHeadPipeline
from ..portrait import FaceLandmarker
from ..quality.feature_networks import FeatureExtractor
from ..quality.fidelity import (
    Fidelity,
    ReferenceClip,
    compare_presets,
    mean_fidelity,
    mean_of_known,
)
from ..quality.frechet import FeatureMoments, frechet_distance
from ..quality.image_quality import Frames
from ..quality.lip_sync import face_track
from ..quality.syncnet import SyncNet, sync_confidence
from ..quality.video_clip import face_boxes
from ..sampling import Sampling

UNKNOWN = float("nan")


@dataclass(frozen=True, eq=False)
class MetricNetworks:
    """Networks of metrics; a metric without its network is left out.

    Attributes:
        inception: Features of frames, for FID.
        i3d: Features of clips, for FVD.
        syncnet: For Sync.
    """

    inception: FeatureExtractor | None = None
    i3d: FeatureExtractor | None = None
    syncnet: SyncNet | None = None


@dataclass(frozen=True)
class PresetMetrics:
    """Metrics of one preset; NaN where not measured.

    Attributes:
        denoising: Seconds of denoising of a window, median.
        ratio: Base's time over this preset's, window by window, median.
        fidelity: Fidelity to base and to the videos, means.
        fid: FID to the frames of the videos.
        fvd: FVD to the clips of the videos.
        sync: Mean confidence of SyncNet.
    """

    denoising: float
    ratio: float
    fidelity: Fidelity
    fid: float
    fvd: float
    sync: float


@dataclass(frozen=True)
class Evaluation:
    """Result of an evaluation.

    Attributes:
        metrics: By preset, base first.
        videos: Names of the videos.
        frames: Frames of the videos, for FID.
        clips: Clips of the videos, for FVD.
        video_sync: Confidence of SyncNet for the videos themselves.
    """

    metrics: Mapping[str, PresetMetrics]
    videos: tuple[str, ...]
    frames: int
    clips: int
    video_sync: float


@dataclass(eq=False)
class _Accumulator:
    """Sums over one preset's frames, or over the videos themselves."""

    denoising: list[float] = field(default_factory=list)
    rows: list[Fidelity] = field(default_factory=list)
    frames: FeatureMoments = field(default_factory=FeatureMoments)
    clips: FeatureMoments = field(default_factory=FeatureMoments)
    sync: list[float] = field(default_factory=list)
    frame_count: int = 0

    def add(
        self, frames: Frames, clip: ReferenceClip, networks: MetricNetworks, landmarker: FaceLandmarker
    ) -> None:
        """Add frames (T, H, W, 3) of a clip."""
        self.frame_count += len(frames)
        if networks.inception is not None:
            self.frames.add(networks.inception(frames))
        if networks.i3d is not None and len(clips := networks.i3d(frames)):
            self.clips.add(clips)
        if networks.syncnet is not None:
            boxes = face_boxes(face_track(frames, landmarker))
            self.sync.append(sync_confidence(networks.syncnet, frames, boxes, clip.audio))


def evaluate(
    pipeline: TalkingHeadPipeline,
    clips: Iterable[ReferenceClip],
    samplings: Mapping[str, Sampling],
    networks: MetricNetworks,
) -> Evaluation:
    """Evaluate samplings on clips, of which one at a time is in memory.

    Args:
        pipeline: Generates the frames.
        clips: Real videos.
        samplings: By name; the first one is base.
        networks: Networks of further metrics.

    Raises:
        LipstreamError: There is no clip.
    """
    landmarker = FaceLandmarker()
    true_videos = _Accumulator()
    presets = {name: _Accumulator() for name in samplings}
    videos = []
    for clip in clips:
        for result in compare_presets(pipeline, clip, samplings, landmarker):
            own, frame_count = presets[result.preset], len(result.frames)
            own.denoising += result.denoising
            own.rows.append(result.fidelity)
            own.add(result.frames, clip, networks, landmarker)
        true_videos.add(clip.frames[:frame_count], clip, networks, landmarker)
        videos.append(clip.name)
    if not videos:
        raise LipstreamError("none of the videos can be used; the messages above say why")
    base = next(iter(presets.values())).denoising
    metrics = {name: _metrics(name, own, base, true_videos) for name, own in presets.items()}
    return Evaluation(
        metrics,
        tuple(videos),
        true_videos.frame_count,
        true_videos.clips.count,
        mean_of_known(true_videos.sync),
    )


def _metrics(name: str, own: _Accumulator, base: Sequence[float], true_videos: _Accumulator) -> PresetMetrics:
    return PresetMetrics(
        denoising=median(own.denoising),
        ratio=median(b / a for a, b in zip(own.denoising, base, strict=True)),
        fidelity=mean_fidelity(name, own.rows),
        fid=_distance(own.frames, true_videos.frames),
        fvd=_distance(own.clips, true_videos.clips),
        sync=mean_of_known(own.sync),
    )


def _distance(a: FeatureMoments, b: FeatureMoments) -> float:
    return frechet_distance(a.gaussian(), b.gaussian()) if a.count and b.count else UNKNOWN
