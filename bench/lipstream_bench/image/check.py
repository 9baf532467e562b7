"""Check of the image from its first start to its end: no key, a key, health, confinement, a stream, a stop."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import av

from .builder import Image
from .container import Container, running
from .contents import inspect_contents

_READY_SECONDS = 300.0
_STOP_SECONDS = 60
_STREAM_SECONDS = 300.0
_MIN_FRAMES = 300
_READ_ONLY = ("/", "/opt/lipstream", "/usr/local/bin", "/etc")
_WRITABLE = ("/data", "/tmp")
_ASK_READY = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz')"

Report = Callable[[str], None]
"""Prints one line of progress."""


class CheckError(Exception):
    """The image fails a check."""


def check_image(image: Image, work: Path, report: Report) -> None:
    """Run all checks.

    Args:
        image: A built image.
        work: An empty folder.
        report: Gets a line for each check that passed.

    Raises:
        CheckError: A check failed.
    """
    user = int(image.user.partition(":")[0] or 0)
    _expect(user > 0, f"expected a user that is not root, got {image.user!r}")
    with image.files() as archive:
        contents = inspect_contents(archive, user)
    packages = ", ".join(contents.packages)
    report(f"{contents.megabytes:.0f} MB, {len(contents.packages)} Python packages: {packages}")
    _expect(not contents.faults, "; ".join(contents.faults[:10]))
    with running(image) as without_key:
        code = without_key.wait(_READY_SECONDS)
        _expect(code == 2, f"expected exit code 2 of a server without keys, got {code}")
    report("without a key it does not start, exit code 2")
    with running(image, {"LIPSTREAM_ACCESS__KEY": "0123456789" * 3}) as container:
        try:
            _check_server(container, work, report)
        except CheckError as error:
            raise CheckError("\n".join([*container.log.splitlines()[-20:], str(error)])) from error


def _check_server(container: Container, work: Path, report: Report) -> None:
    start = time.monotonic()
    _wait_until(lambda: container.health == "healthy", "healthy")
    report(f"healthy after {time.monotonic() - start:.1f} s, by the image's own health check")
    _wait_until(lambda: container.execute(["python", "-c", _ASK_READY]).returncode == 0, "ready")
    report(f"ready after {time.monotonic() - start:.1f} s")
    _check_confinement(container, report)
    added = container.execute(["lipstream", "keys", "add", "website"])
    _expect(added.returncode == 0, f"`lipstream keys add` failed: {added.stderr}")
    report("a key was added while the server runs")
    _check_stream(container, work, added.stdout.strip(), report)
    start = time.monotonic()
    code = container.stop(_STOP_SECONDS)
    report(f"stopped with exit code {code} after {time.monotonic() - start:.1f} s")
    _expect(code == 0, f"expected exit code 0 after the stop signal, got {code}")


def _check_confinement(container: Container, report: Report) -> None:
    status = container.process_status()
    _expect("0" not in status["Uid"].split(), f"expected a user that is not root, got {status['Uid']}")
    confined = int(status["CapBnd"], 16) == 0 and status["NoNewPrivs"] == "1"
    _expect(confined, "the server has capabilities, or may gain some")
    for folder in _READ_ONLY:
        _expect(container.execute(["touch", f"{folder}/x"]).returncode != 0, f"{folder} is writable")
    for folder in _WRITABLE:
        write = container.execute(["sh", "-c", f"touch {folder}/x && rm {folder}/x"])
        _expect(write.returncode == 0, f"{folder} is not writable")
    user = status["Uid"].split()[0]
    report(f"user {user}, no capabilities, root file system read-only, /data and /tmp writable")


def _check_stream(container: Container, work: Path, key: str, report: Report) -> None:
    """Stream the bundled recording from outside of the container."""
    output = work / "talk.mp4"
    recording = str(files("lipstream_models") / "bundled" / "audio" / "reading.flac")
    line = [sys.executable, "-m", "lipstream_client", "stream", recording, "-o", str(output)]
    line += ["--url", f"ws://{container.address}"]

    def stream(with_key: str) -> subprocess.CompletedProcess[str]:
        command = [*line, "--key", with_key]
        return subprocess.run(command, capture_output=True, text=True, timeout=_STREAM_SECONDS)

    refused = stream("x" * 43)
    wrong_key = refused.returncode != 0 and "key" in refused.stderr
    _expect(wrong_key, f"a wrong key was not refused: {refused.stderr}")
    done = stream(key)
    _expect(done.returncode == 0, f"the stream failed: {done.stderr}")
    report(f"streamed: {done.stdout.strip()}")
    with av.open(str(output)) as video:
        frames = sum(1 for _ in video.decode(video=0))
    _expect(frames > _MIN_FRAMES, f"expected more than {_MIN_FRAMES} frames in {output}, got {frames}")
    report(f"{frames} frames in the file")


def _wait_until(condition: Callable[[], bool], state: str) -> None:
    end = time.monotonic() + _READY_SECONDS
    while not condition():
        _expect(time.monotonic() < end, f"not {state} after {_READY_SECONDS:.0f} s")
        time.sleep(0.5)


def _expect(passed: bool, failure: str) -> None:
    if not passed:
        raise CheckError(failure)
