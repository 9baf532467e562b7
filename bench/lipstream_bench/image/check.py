"""From the image's first start to its end, as an operator has it: no key, a key, health, a stream, a stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import av

from .container import Container, running
from .contents import look
from .follow import Image

_READY_SECONDS = 300.0
_STOP_SECONDS = 60.0
_STREAM_SECONDS = 300.0


class CheckError(Exception):
    """The image does not do what it should."""

    exit_code = 1


def check(image: Image, work: Path, tell: Callable[[str], None]) -> None:
    """Raises CheckError."""
    user = int(image.user.partition(":")[0] or 0)
    _expect(user > 0, f"expected a user that is not root, got {image.user!r}")
    contents = look(image.root, user)
    tell(
        f"{contents.megabytes:.0f} MB, {len(contents.packages)} Python packages: {', '.join(contents.packages)}"
    )
    _expect(not contents.faults, "; ".join(contents.faults[:10]))
    data = work / "data"
    data.mkdir(exist_ok=True)
    data.chmod(0o700)
    os.chown(data, user, user)
    with (work / "log").open("wb") as log:
        with running(image, data, image.command, log) as refusing:
            _expect(
                refusing.starter.wait(_READY_SECONDS) == 2, "a server without keys did not end with code 2"
            )
        tell("without a key it does not start, code 2")
        with running(
            image, data, image.command, log, {"LIPSTREAM_ACCESS__KEY": "0123456789" * 3}
        ) as container:
            _serve(container, work, tell)


def _serve(container: Container, work: Path, tell: Callable[[str], None]) -> None:
    began = time.monotonic()
    _until(lambda: container.healthy, "healthy")
    tell(f"healthy after {time.monotonic() - began:.1f} s, as the image's own health check says")
    ready = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz')"
    _until(lambda: container.execute(["python", "-c", ready]).returncode == 0, "ready")
    tell(f"ready after {time.monotonic() - began:.1f} s")
    _confined(container, tell)
    made = container.execute(["lipstream", "keys", "add", "website"])
    _expect(made.returncode == 0, f"`lipstream keys add` failed: {made.stderr}")
    tell("a key was made beside the running server")
    _stream(container, work, made.stdout.strip(), tell)
    began = time.monotonic()
    # From outside, as an engine does; the first process of a namespace gets only signals that it handles.
    os.kill(container.first, signal.Signals[container.image.stop_signal])
    code = container.starter.wait(_STOP_SECONDS)
    tell(f"SIGTERM: ended with {code} after {time.monotonic() - began:.1f} s")
    _expect(code == 0, f"expected exit code 0 after SIGTERM, got {code}")


def _confined(container: Container, tell: Callable[[str], None]) -> None:
    status = container.status()
    _expect("0" not in status["Uid"].split(), f"it runs as {status['Uid']}")
    _expect(
        int(status["CapBnd"], 16) == 0 and status["NoNewPrivs"] == "1",
        "it has capabilities, or may gain some",
    )
    for place in ("/", "/opt/lipstream", "/usr/local/bin", "/etc"):
        _expect(container.execute(["touch", f"{place}/x"]).returncode != 0, f"{place} can be written")
    for place in ("/data", "/tmp"):
        _expect(
            container.execute(["sh", "-c", f"touch {place}/x && rm {place}/x"]).returncode == 0,
            f"{place} cannot be written",
        )
    tell(
        f"user {status['Uid'].split()[0]}, no capabilities, root file system read-only, /data and /tmp writable"
    )


def _stream(container: Container, work: Path, key: str, tell: Callable[[str], None]) -> None:
    """The bundled recording from outside the container, through its network only."""
    output = work / "talk.mp4"
    recording = str(files("lipstream_models") / "bundled" / "audio" / "reading.flac")
    client = [sys.executable, "-m", "lipstream_client", "stream", recording, "-o", str(output)]
    line = [*container.enter("--net"), *client]
    refused = subprocess.run(
        [*line, "--key", "x" * 43], capture_output=True, text=True, timeout=_STREAM_SECONDS
    )
    _expect(
        refused.returncode != 0 and "key" in refused.stderr, f"a wrong key was not refused: {refused.stderr}"
    )
    done = subprocess.run([*line, "--key", key], capture_output=True, text=True, timeout=_STREAM_SECONDS)
    _expect(done.returncode == 0, f"the stream failed: {done.stderr}")
    tell(f"streamed: {done.stdout.strip()}")
    with av.open(str(output)) as video:
        frames = sum(1 for _ in video.decode(video=0))
    _expect(frames > 300, f"expected more than 300 pictures in {output}, got {frames}")
    tell(f"{frames} pictures in the file")


def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _READY_SECONDS
    while not condition():
        _expect(time.monotonic() < end, f"not {what} after {_READY_SECONDS:.0f} s")
        time.sleep(0.5)


def _expect(right: bool, otherwise: str) -> None:
    if not right:
        raise CheckError(otherwise)
