"""Speed and fidelity of presets as Markdown and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lipstream_accel.price import Price
from lipstream_models.quality.fidelity import Fidelity
from lipstream_models.quality.markdown import markdown

from .full_size_speed import FullSizeSpeed
from .speed import Speed

_TICKS = (1, 2, 3, 4, 6, 10, 20)


def bundled_table(
    speeds: Sequence[Speed],
    fidelities: Sequence[Fidelity],
    prices: Mapping[str, Price],
    hallo: Mapping[str, Price],
) -> str:
    """prices: GFLOP of the bundled model's window; hallo: TFLOP of a clip of Hallo at full size."""
    head = [
        "preset", "denoising, ms", "times base", "whole window, ms", "frames/s", "GFLOP", "Hallo, TFLOP", "memory, MB",
        "PSNR to base, dB", "SSIM", "largest face difference", "lip correlation", "closures, %", "face PSNR, dB",
    ]  # fmt: skip
    rows = []
    for speed, found in zip(speeds, fidelities, strict=True):
        name = speed.preset
        rows.append(
            [
                f"`{name}`",
                f"{speed.denoising_ms:.0f}",
                f"{speed.ratio:.2f}",
                f"{speed.whole_ms:.0f}",
                f"{speed.frames_a_second:.1f}",
                f"{prices[name].flops / 1e9:.0f}",
                f"{hallo[name].tflop:.0f}",
                f"{speed.memory_mb:.0f}",
                found.decibels,
                f"{found.ssim:.3f}",
                f"{found.largest_face_difference:.1f}",
                f"{found.lip_correlation:.2f}",
                f"{100 * found.closures:.0f}",
                f"{found.face_db:.1f}",
            ]
        )
    return markdown(head, rows)


def variants_table(speeds: Sequence[Speed], fidelities: Sequence[Fidelity]) -> str:
    """Names are sentences and stand as they are."""
    head = [
        "variant", "denoising, ms", "times as fast", "PSNR, dB", "largest face difference", "lip correlation",
        "closures, %", "face PSNR, dB",
    ]  # fmt: skip
    rows = [
        [
            speed.preset,
            f"{speed.denoising_ms:.0f}",
            f"{speed.ratio:.2f}",
            found.decibels,
            f"{found.largest_face_difference:.1f}",
            f"{found.lip_correlation:.2f}",
            f"{100 * found.closures:.0f}",
            f"{found.face_db:.1f}",
        ]
        for speed, found in zip(speeds, fidelities, strict=True)
    ]
    return markdown(head, rows)


def full_size_table(speeds: Sequence[FullSizeSpeed]) -> str:
    """Hallo at 512 x 512 on a GPU; ratios are to base at the same batch size."""
    base = {speed.batch: speed.denoising for speed in speeds if speed.preset == speeds[0].preset}
    head = ["preset", "sessions", "denoising, s", "times base", "decoding, s", "frames/s", "memory, GB"]
    rows = [
        [
            f"`{speed.preset}`",
            str(speed.batch),
            f"{speed.denoising:.3f}",
            f"{base[speed.batch] / speed.denoising:.2f}",
            f"{speed.decoding:.3f}",
            f"{speed.frames_a_second:.1f}",
            f"{speed.memory_gb:.1f}",
        ]
        for speed in speeds
    ]
    return markdown(head, rows)


def draw(speeds: Sequence[Speed], fidelities: Sequence[Fidelity], path: Path) -> None:
    """Speed against fidelity, a point for each preset but the first, which is the measure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for speed, found in list(zip(speeds, fidelities, strict=True))[1:]:
        x, y = speed.ratio, min(found.psnr_db, 60.0)
        axes.plot([x], [y], "o", color="tab:blue")
        axes.annotate(speed.preset, (x, y), textcoords="offset points", xytext=(6, 4))
    axes.set_xscale("log")
    axes.set_xticks(_TICKS, [str(tick) for tick in _TICKS])
    axes.set_xlabel("times faster than base (denoising)")
    axes.set_ylabel("PSNR to base, dB (at most 60)")
    axes.margins(x=0.25)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
