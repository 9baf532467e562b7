"""Frames of videos side by side, a row for each video.

python -m lipstream_bench.strip A.mp4 B.mp4 --out strip.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frames = NDArray[np.uint8]


def frames_at(video: Path, seconds: list[float]) -> list[Image.Image]:
    """Return the frames at these times.

    Raises:
        ValueError: The video is shorter.
    """
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
    """Return one row for each video, with one frame of ``side`` pixels for each time."""
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
    parser.add_argument("--start", type=float, default=1.0, help="seconds of the videos to skip")
    parser.add_argument("--every", type=float, default=0.2, help="seconds between frames")
    parser.add_argument("--count", type=int, default=8, help="frames per row")
    parser.add_argument("--side", type=int, default=112, help="pixels of a side of each frame")
    arguments = parser.parse_args()
    seconds = [arguments.start + arguments.every * i for i in range(arguments.count)]
    image = strip(arguments.videos, seconds, arguments.side)
    image.save(arguments.out, optimize=True)
    print(f"{arguments.out}: {image.width} x {image.height}")


if __name__ == "__main__":
    main()
