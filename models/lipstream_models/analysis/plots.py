"""Pictures of an `Analysis`: the paper's figures 1, 2, 4 and 5. Needs matplotlib (extra `plots`)."""

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


def draw(found: Analysis, folder: Path) -> list[Path]:
    """Figures 1, 2 and 4 as PNG files. Raises LipstreamError where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LipstreamError("drawing needs matplotlib: pip install -e '.[plots]'") from error

    def figure(name: str, title: str, parts: Mapping[str, Mapping[str, Sequence[float]]]) -> Path:
        picture = Figure(figsize=(5 * len(parts), 3.6), layout="constrained")
        picture.suptitle(title)
        for axes, (label, lines) in zip(
            picture.subplots(1, len(parts), squeeze=False)[0], parts.items(), strict=True
        ):
            _plot(axes, label, lines)
        path = folder / name
        picture.savefig(path, dpi=100)
        return path

    return [
        figure(
            "figure1.png",
            "f_U31 from one step to the next: key steps belong where it changes",
            {
                "relative distance": {"f_U31": found.feature_distance},
                "cosine similarity": {"f_U31": found.feature_cosine},
            },
        ),
        figure(
            "figure2.png",
            "The last layer: what the face attends to, and what changes outside it",
            {
                "share of attention": found.foreground_attention,
                "relative change outside the face": found.background_change,
            },
        ),
        figure(
            "figure4.png",
            "Estimate input latents from where they move and the prediction does not (t_thresh)",
            {
                "relative distance": {
                    "input latents": found.latents_distance,
                    "predicted noise": found.noise_distance,
                }
            },
        ),
    ]


def draw_frames(rows: Mapping[str, Frames], path: Path, count: int = 6) -> Path:
    """Figure 5: frames (F, H, W, 3) of each preset, one row below the other, evenly spaced in time."""
    pictures = []
    for name, frames in rows.items():
        chosen = frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
        band = Image.new("RGB", (count * frames.shape[2], _LABEL), "white")
        ImageDraw.Draw(band).text((4, 1), name, fill="black")
        pictures += [np.asarray(band), np.hstack(list(chosen))]
    Image.fromarray(np.vstack(pictures)).save(path, optimize=True)
    return path


def _plot(axes: Axes, label: str, lines: Mapping[str, Sequence[float]]) -> None:
    for name, values in lines.items():
        axes.plot(range(len(values)), values, marker=".", label=name)
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    axes.legend()
