"""Videos side by side as an animated WebP, which GitHub shows in a README.

`python -m lipstream_bench.animation A.mp4 B.mp4 --out talking.webp`
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import numpy as np
from PIL import Image


def read_frames(video: Path, start: float, seconds: float, side: int) -> list[Image.Image]:
    """Return the frames from ``start`` on, scaled to a square of ``side`` pixels.

    Raises:
        ValueError: The video ends before ``start`` + ``seconds``.
    """
    images: list[Image.Image] = []
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            if frame.time is None or frame.time < start - 1e-6:
                continue
            if frame.time >= start + seconds - 1e-6:
                return images
            image = Image.fromarray(frame.to_ndarray(format="rgb24"))
            images.append(image.resize((side, side), Image.Resampling.LANCZOS))
    raise ValueError(
        f"expected {start + seconds:g} s of video, {video} is shorter; choose an earlier --start"
    )


def join_columns(columns: list[list[Image.Image]]) -> list[Image.Image]:
    """Return frames that show the n-th image of every column side by side."""
    return [
        Image.fromarray(np.hstack([np.asarray(image) for image in row])) for row in zip(*columns, strict=True)
    ]


def write_animation(frames: list[Image.Image], path: Path, frame_ms: int, quality: int) -> None:
    """Write an endless animated WebP. ``quality`` is 0 to 100."""
    first, *rest = frames
    first.save(
        path,
        save_all=True,
        append_images=rest,
        duration=frame_ms,
        loop=0,
        quality=quality,
        method=6,
        allow_mixed=True,
    )


def main() -> None:
    """Parse the command line and write the animation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", type=Path, nargs="+", help="videos of 25 frames per second")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .webp")
    parser.add_argument("--start", type=float, default=0.0, help="seconds of the videos to skip")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the animation in seconds")
    parser.add_argument("--side", type=int, default=256, help="pixels of a side of each video")
    parser.add_argument("--quality", type=int, default=60, help="WebP quality, 0 to 100")
    arguments = parser.parse_args()
    columns = [
        read_frames(video, arguments.start, arguments.seconds, arguments.side) for video in arguments.videos
    ]
    frames = join_columns(columns)
    write_animation(frames, arguments.out, frame_ms=40, quality=arguments.quality)
    print(f"{arguments.out}: {len(frames)} frames, {arguments.out.stat().st_size / 2**20:.2f} MB")


if __name__ == "__main__":
    main()
