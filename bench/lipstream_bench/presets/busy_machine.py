"""`lipstream render` beside programs that use a core each: `python -m lipstream_bench.presets.busy_machine`."""

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

from ..live.beside_clip import write_wave
from ..machine.machine import machine

_BUSY = "while True: pass"


def rendered(seconds: float) -> float:
    """Frames a second of a bundled face that says so many seconds, after it has been looked at."""
    with tempfile.TemporaryDirectory() as folder:
        audio, video = Path(folder) / "speech.wav", Path(folder) / "talk.mp4"
        write_wave(audio, read_audio(recording_path()), seconds)
        words = ["render", avatar_path("mila"), audio, "-o", video]
        command = [sys.executable, "-m", "lipstream_client", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    (figure,) = re.findall(r"([\d.]+) frames per second", done.stdout + done.stderr)
    return float(figure)


@contextmanager
def beside(count: int) -> Iterator[None]:
    """So many processes that compute and do nothing else, in sessions of their own, as other programs of a desktop are."""
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
    parser.add_argument("--seconds", type=float, default=4.0, help="of speech")
    parser.add_argument("--most", type=int, default=2, help="busy processes to go up to")
    arguments = parser.parse_args()
    for count in range(arguments.most + 1):
        with beside(count):
            figure = rendered(arguments.seconds)
        print(json.dumps({"machine": machine(), "busy": count, "frames_a_second": figure}), flush=True)


if __name__ == "__main__":
    main()
