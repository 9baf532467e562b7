"""Fidelity of presets on rendered clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lipstream_models.pipeline import TalkingHeadPipeline
from lipstream_models.portrait import FaceLandmarker
from lipstream_models.quality.fidelity import (
    Fidelity,
    ReferenceClip,
    compare_presets,
    mean_fidelity,
)
from lipstream_models.sampling import Sampling
from lipstream_training.data.dataset import RenderedClip


def measure_fidelity(
    engine: TalkingHeadPipeline, clips: Sequence[RenderedClip], settings: Mapping[str, Sampling]
) -> list[Fidelity]:
    """Return the means over the clips of each sampling; the first one is the reference of the others."""
    landmarker = FaceLandmarker()
    rows: dict[str, list[Fidelity]] = {name: [] for name in settings}
    for clip in clips:
        for result in compare_presets(engine, _reference_clip(clip), settings, landmarker):
            rows[result.preset].append(result.fidelity)
    return [mean_fidelity(name, rows[name]) for name in settings]


def _reference_clip(clip: RenderedClip) -> ReferenceClip:
    truth = clip.truth
    return ReferenceClip(
        clip.name,
        clip.frames,
        truth.audio,
        truth.lip_opening.astype(np.float64),
        truth.closures,
        truth.face_box,
    )
