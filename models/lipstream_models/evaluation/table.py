"""An evaluation as a Markdown table and as JSON values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from math import isnan
from typing import Any

from ..quality.markdown import markdown
from .runner import Evaluation, PresetFigures

_COLUMNS: Mapping[str, Callable[[PresetFigures], str]] = {
    "denoising a window, s": lambda row: f"{row.denoising:.3f}",
    "times base": lambda row: f"{row.ratio:.2f}",
    "PSNR to base, dB": lambda row: row.fidelity.decibels,
    "SSIM": lambda row: f"{row.fidelity.ssim:.3f}",
    "largest face difference": lambda row: f"{row.fidelity.largest_face_difference:.1f}",
    "lip correlation": lambda row: f"{row.fidelity.lip_correlation:.2f}",
    "lag, frames": lambda row: f"{row.fidelity.lag_frames:.1f}",
    "face PSNR, dB": lambda row: f"{row.fidelity.face_db:.1f}",
}
_NETWORK_COLUMNS: Mapping[str, Callable[[PresetFigures], float]] = {
    "FID": lambda row: row.fid,
    "FVD": lambda row: row.fvd,
    "Sync": lambda row: row.sync,
}


def as_table(found: Evaluation) -> str:
    """A row for each preset; FID, FVD and Sync have columns where they were measured."""
    rows = found.figures.values()
    judged = {name: of for name, of in _NETWORK_COLUMNS.items() if not all(isnan(of(row)) for row in rows)}
    lines = [
        [f"`{name}`", *(of(row) for of in _COLUMNS.values()), *(f"{of(row):.2f}" for of in judged.values())]
        for name, row in found.figures.items()
    ]
    return markdown(["preset", *_COLUMNS, *judged], lines)


def as_values(found: Evaluation) -> dict[str, Any]:
    """JSON values, null for what was not measured."""
    presets = []
    for name, row in found.figures.items():
        numbers = asdict(row)
        presets.append(numbers.pop("fidelity") | {"preset": name} | numbers)
    values = {
        "videos": list(found.videos),
        "frames": found.frames,
        "clips": found.clips,
        "video_sync": found.video_sync,
        "presets": presets,
    }
    known: dict[str, Any] = json.loads(json.dumps(values), parse_constant=lambda _: None)
    return known
