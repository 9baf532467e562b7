"""Speed of `lipstream render` beside busy processes: `python -m lipstream_bench.presets.busy_machine`."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lipstream_client.recording import read_audio
from lipstream_models.bundled import avatar_path, recording_path

from ..live.beside_clip import write_repeated_wav
from ..machine.machine import describe_machine

_BUSY = "while True: pass"


def measure_render_fps(seconds: float) -> float:
    """Return the frames per second of rendering a bundled avatar with so many seconds of speech."""
    with tempfile.TemporaryDirectory() as folder:
        audio, video = Path(folder) / "speech.wav", Path(folder) / "talk.mp4"
        write_repeated_wav(audio, read_audio(recording_path()), seconds)
        words = ["render", avatar_path("mila"), audio, "-o", video]
        command = [sys.executable, "-m", "lipstream_client", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    (figure,) = re.findall(r"([\d.]+) frames per second", done.stdout + done.stderr)
    return float(figure)


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Run processes that keep a core busy each, in sessions of their own like other programs of a desktop."""
    command = [sys.executable, "-c", _BUSY]
    busy = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]  # noqa: S603
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="Length of the speech in seconds.")
    parser.add_argument("--max-processes", type=int, default=2, help="Highest number of busy processes.")
    arguments = parser.parse_args()
    for count in range(arguments.max_processes + 1):
        with busy_processes(count):
            fps = measure_render_fps(arguments.seconds)
        print(json.dumps({"machine": describe_machine(), "busy": count, "frames_a_second": fps}), flush=True)


if __name__ == "__main__":
    main()
