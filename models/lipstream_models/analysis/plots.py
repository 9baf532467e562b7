"""Plots of an `Analysis`: figures 1, 2, 4 and 5 of LightningCP. Needs matplotlib (extra `plots`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..errors import LipstreamError
from .analysis import Analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Frames = NDArray[np.uint8]
_LABEL = 14  # pixels for a row's name


def plot_analysis(analysis: Analysis, folder: Path) -> list[Path]:
    """Write figures 1, 2 and 4 as PNG files to a folder and return their paths.

    Raises:
        LipstreamError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LipstreamError(
            "plots need matplotlib, which is not installed: pip install -e '.[plots]'"
        ) from error

    def save_figure(name: str, title: str, parts: Mapping[str, Mapping[str, Sequence[float]]]) -> Path:
        canvas = Figure(figsize=(5 * len(parts), 3.6), layout="constrained")
        canvas.suptitle(title)
        for axes, (label, lines) in zip(
            canvas.subplots(1, len(parts), squeeze=False)[0], parts.items(), strict=True
        ):
            _plot(axes, label, lines)
        path = folder / name
        canvas.savefig(path, dpi=100)
        return path

    return [
        save_figure(
            "figure1.png",
            "f_U31 from one step to the next: key steps belong where it changes",
            {
                "relative distance": {"f_U31": analysis.feature_distance},
                "cosine similarity": {"f_U31": analysis.feature_cosine},
            },
        ),
        save_figure(
            "figure2.png",
            "The last layer: what the face attends to, and what changes outside it",
            {
                "share of attention": analysis.foreground_attention,
                "relative change outside the face": analysis.background_change,
            },
        ),
        save_figure(
            "figure4.png",
            "Estimate input latents from where they move and the prediction does not (t_thresh)",
            {
                "relative distance": {
                    "input latents": analysis.latents_distance,
                    "predicted noise": analysis.noise_distance,
                }
            },
        ),
    ]


def plot_frames(rows: Mapping[str, Frames], path: Path, count: int = 6) -> Path:
    """Write figure 5: a row of frames for each preset, evenly spaced in time.

    Args:
        rows: Frames (F, H, W, 3) by preset.
        path: A PNG file.
        count: Frames of a row.
    """
    bands = []
    for name, frames in rows.items():
        chosen = frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
        band = Image.new("RGB", (count * frames.shape[2], _LABEL), "white")
        ImageDraw.Draw(band).text((4, 1), name, fill="black")
        bands += [np.asarray(band), np.hstack(list(chosen))]
    Image.fromarray(np.vstack(bands)).save(path, optimize=True)
    return path


def _plot(axes: Axes, label: str, lines: Mapping[str, Sequence[float]]) -> None:
    for name, values in lines.items():
        axes.plot(range(len(values)), values, marker=".", label=name)
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    axes.legend()
