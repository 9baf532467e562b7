"""Frames of talking videos side by side, a row for each: `python -m lipstream_bench.strip A.mp4 B.mp4 --out strip.png`."""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frames = NDArray[np.uint8]


def frames_at(video: Path, seconds: list[float]) -> list[Image.Image]:
    """The frames that show at these times. Raises ValueError where the video is shorter."""
    wanted = sorted(seconds)
    found: list[Image.Image] = []
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            while (
                frame.time is not None
                and len(found) < len(wanted)
                and frame.time + 1e-6 >= wanted[len(found)]
            ):
                found.append(Image.fromarray(frame.to_ndarray(format="rgb24")))
    if len(found) < len(wanted):
        raise ValueError(f"{video} ends before {wanted[len(found)]:.2f} s; choose earlier times")
    return found


def strip(videos: list[Path], seconds: list[float], side: int) -> Image.Image:
    """One row for each video, one picture of ``side`` pixels for each time."""
    rows = []
    for video in videos:
        cells = [
            np.asarray(image.resize((side, side), Image.Resampling.LANCZOS))
            for image in frames_at(video, seconds)
        ]
        rows.append(np.hstack(cells))
    return Image.fromarray(np.vstack(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=float, default=1.0, help="seconds")
    parser.add_argument("--every", type=float, default=0.2, help="seconds from one picture to the next")
    parser.add_argument("--count", type=int, default=8, help="pictures a row")
    parser.add_argument("--side", type=int, default=112, help="pixels of a picture")
    arguments = parser.parse_args()
    seconds = [arguments.start + arguments.every * i for i in range(arguments.count)]
    picture = strip(arguments.videos, seconds, arguments.side)
    picture.save(arguments.out, optimize=True)
    print(f"{arguments.out}: {picture.width} x {picture.height}")


if __name__ == "__main__":
    main()
