"""Output of an evaluation as a Markdown table and as JSON values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from math import isnan
from typing import Any

from ..quality.markdown import markdown_table
from .runner import Evaluation, PresetMetrics

_COLUMNS: Mapping[str, Callable[[PresetMetrics], str]] = {
    "denoising a window, s": lambda row: f"{row.denoising:.3f}",
    "times base": lambda row: f"{row.ratio:.2f}",
    "PSNR to base, dB": lambda row: row.fidelity.decibels,
    "SSIM": lambda row: f"{row.fidelity.ssim:.3f}",
    "largest face difference": lambda row: f"{row.fidelity.largest_face_difference:.1f}",
    "lip correlation": lambda row: f"{row.fidelity.lip_correlation:.2f}",
    "lag, frames": lambda row: f"{row.fidelity.lag_frames:.1f}",
    "face PSNR, dB": lambda row: f"{row.fidelity.face_db:.1f}",
}
_NETWORK_COLUMNS: Mapping[str, Callable[[PresetMetrics], float]] = {
    "FID": lambda row: row.fid,
    "FVD": lambda row: row.fvd,
    "Sync": lambda row: row.sync,
}


def as_table(evaluation: Evaluation) -> str:
    """Return a Markdown table with a row for each preset; FID, FVD and Sync only where measured."""
    rows = evaluation.metrics.values()
    measured = {
        name: value for name, value in _NETWORK_COLUMNS.items() if not all(isnan(value(row)) for row in rows)
    }
    lines = [
        [
            f"`{name}`",
            *(value(row) for value in _COLUMNS.values()),
            *(f"{value(row):.2f}" for value in measured.values()),
        ]
        for name, row in evaluation.metrics.items()
    ]
    return markdown_table(["preset", *_COLUMNS, *measured], lines)


def as_values(evaluation: Evaluation) -> dict[str, Any]:
    """Return JSON values; null where not measured."""
    presets = []
    for name, row in evaluation.metrics.items():
        numbers = asdict(row)
        presets.append(numbers.pop("fidelity") | {"preset": name} | numbers)
    values = {
        "videos": list(evaluation.videos),
        "frames": evaluation.frames,
        "clips": evaluation.clips,
        "video_sync": evaluation.video_sync,
        "presets": presets,
    }
    known: dict[str, Any] = json.loads(json.dumps(values), parse_constant=lambda _: None)
    return known
