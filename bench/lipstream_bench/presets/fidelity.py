"""Fidelity of presets on clips that were rendered, of which everything is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lipstream_models.pipeline import Sampling, TalkingHeadPipeline
from lipstream_models.portrait import FaceLandmarker
from lipstream_models.quality.fidelity import (
    Fidelity,
    TrueClip,
    compare_presets,
    mean_fidelity,
)
from lipstream_training.data.dataset import Clip


def measure_fidelity(
    engine: TalkingHeadPipeline, clips: Sequence[Clip], settings: Mapping[str, Sampling]
) -> list[Fidelity]:
    """Means over the clips. The first of the settings is what the others are compared with."""
    landmarker = FaceLandmarker()
    rows: dict[str, list[Fidelity]] = {name: [] for name in settings}
    for clip in clips:
        for found in compare_presets(engine, _known(clip), settings, landmarker):
            rows[found.preset].append(found.fidelity)
    return [mean_fidelity(name, rows[name]) for name in settings]


def _known(clip: Clip) -> TrueClip:
    truth = clip.truth
    return TrueClip(
        clip.name,
        clip.frames,
        truth.audio,
        truth.lip_opening.astype(np.float64),
        truth.closures,
        truth.face_box,
    )
