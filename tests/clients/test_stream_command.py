"""`lipstream stream`, `bench-stream` and `demo`, as they are typed."""

import asyncio
import builtins
import io
import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
import wave
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from decoded_video import decode
from live_server import get, running, tone

from lipstream_client.cli import run
from lipstream_client.errors import StreamError
from lipstream_client.figures import Figures
from lipstream_client.microphone import load_device, microphone
from lipstream_client.status import status_line
from lipstream_server.commands.demo import (
    DemoError,
    free_port,
    started,
    wait_until_ready,
)
from lipstream_server.http.uvicorn_server import bind


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(tone(0.4))
    return path


@asynccontextmanager
async def typed(*arguments: str) -> AsyncIterator[Process]:
    """`lipstream` with these arguments, in a process of its own, which does not outlive the block."""
    words = (sys.executable, "-m", "lipstream_client", *arguments)
    process = await asyncio.create_subprocess_exec(*words, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(240):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "expected either a recording or --microphone"),
        (["{speech}", "--microphone"], "expected either a recording or --microphone"),
        (["{speech}"], "-o FILE, --play or both"),
        (["{speech}", "-o", "/nowhere/talk.mp4"], "there is no folder /nowhere"),
        (["/nowhere.wav", "-o", "talk.mp4"], "No such file or directory: '/nowhere.wav'"),
        (["{speech}", "--play"], "neither ffplay nor mpv is on PATH"),
    ],
)
def test_contradicting_arguments_are_one_line(
    arguments: list[str],
    said: str,
    speech: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    chosen = [argument.format(speech=speech) for argument in arguments]
    assert run(["stream", *chosen]) in (2, 3)
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1


async def test_stream_command_writes_a_recording_to_a_file(speech: Path, tmp_path: Path) -> None:
    out = tmp_path / "talk.mp4"
    async with (
        running() as address,
        typed("stream", str(speech), "-o", str(out), "--url", f"ws://{address}", "--avatar", "blue") as done,
    ):
        said, errors = await done.communicate()
    assert (done.returncode, errors) == (0, b"")
    pattern = rf"{out}: first frame \d+ ms, (\d+) frames, [\d.]+ fps, skew [+-]\d+ ms, \d+ repeated\n"
    told = re.fullmatch(pattern, said.decode())
    assert told is not None, said
    assert len(decode(out.read_bytes())[0]) == int(told[1])


async def test_stream_command_leaves_a_playable_file_on_ctrl_c(tmp_path: Path) -> None:
    path, out = tmp_path / "long.wav", tmp_path / "talk.mp4"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(tone(60))
    async with (
        running() as address,
        typed("stream", str(path), "-o", str(out), "--url", f"ws://{address}") as process,
    ):
        while not out.exists() or out.stat().st_size < 10_000:
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said, errors = await process.communicate()
    assert process.returncode == 130
    assert f"{out}: interrupted, " in said.decode()
    assert errors == b""
    assert len(decode(out.read_bytes())[0]) > 5


async def test_bench_stream_prints_one_line_of_json(speech: Path) -> None:
    async with (
        running() as address,
        typed("bench-stream", str(speech), "-n", "2", "--json", "--url", f"ws://{address}") as done,
    ):
        said, errors = await done.communicate()
    assert (done.returncode, errors) == (0, b"")
    assert said.count(b"\n") == 1
    told = json.loads(said)
    assert (told["streams"], told["served"], told["refused"], told["refusal"]) == (2, 2, 0, None)
    assert all(len(told[key]) == 2 for key in ("first_frame_ms", "frames", "repeated_frames", "skew_ms"))


class Device(ModuleType):
    """A stand-in for sounddevice: hears a tone, and Ctrl-C comes when it has been heard often enough."""

    class PortAudioError(Exception):
        pass

    def __init__(self, pieces: int) -> None:
        super().__init__("sounddevice")
        self.pieces = pieces
        self.closed = False

    def RawInputStream(  # noqa: N802  # its name there
        self, rate: int, size: int, channels: int, dtype: str, callback: Callable[..., None]
    ) -> "Device":
        assert (rate, size, channels, dtype) == (16_000, 640, 1, "int16")
        if not self.pieces:
            raise self.PortAudioError("Error querying device -1")
        self.callback = callback
        return self

    def start(self) -> None:
        threading.Thread(target=self._hear).start()

    def _hear(self) -> None:
        for _ in range(self.pieces):
            self.callback(memoryview(tone(0.04)), 640, None, None)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    def close(self) -> None:
        self.closed = True


def test_microphone_streams_until_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command is in the main thread, where it handles the signal; so the server is in another."""
    device, out = Device(12), tmp_path / "talk.mp4"
    monkeypatch.setitem(sys.modules, "sounddevice", device)
    before = signal.getsignal(signal.SIGINT)
    with server_in_a_thread() as address:
        code = run(["stream", "--microphone", "-o", str(out), "--url", f"ws://{address}"])
    captured = capsys.readouterr()
    assert code == 0, captured
    assert "recording from the microphone" in captured.err
    assert "first frame" in captured.out
    assert device.closed
    assert signal.getsignal(signal.SIGINT) is before
    frames, _ = decode(out.read_bytes())
    bar = np.array([frame.to_ndarray(format="rgb24")[56:, 2].mean() > 200 for frame in frames])
    assert bar.sum() in (12, 13)  # all that was heard has been shown


@contextmanager
def server_in_a_thread() -> Iterator[str]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = running()
    try:
        yield asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def test_missing_microphone_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(StreamError, match=r"pip install -e '\.\[live\]'"):
        load_device()
    monkeypatch.setitem(sys.modules, "sounddevice", Device(0))
    with pytest.raises(StreamError, match="no microphone can be opened: Error querying device -1"):
        await anext(microphone(asyncio.Event()))

    def without_portaudio(name: str, *arguments: object) -> ModuleType:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return plain(name, *arguments)  # type: ignore[arg-type]

    plain = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without_portaudio)
    with pytest.raises(StreamError, match="sudo apt install libportaudio2"):
        load_device()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_status_line_is_overwritten_on_a_terminal_and_absent_in_a_log() -> None:
    now, screen, log = [0.0], Terminal(), io.StringIO()
    figures = Figures(sent=1.5, first_frame=0.4)
    with status_line(screen, lambda: now[0]) as show, status_line(log) as silent:
        for _ in range(10):
            now[0] += 0.1
            show(figures)
            silent(figures)
    assert screen.getvalue().count("\r") == 4
    assert screen.getvalue().endswith("\n")
    assert "1.5 s sent, first frame 400 ms" in screen.getvalue()
    assert log.getvalue() == ""


async def test_demo_with_a_stub_leaves_a_video_and_no_process(tmp_path: Path) -> None:
    out = tmp_path / "demo.mp4"
    async with typed("demo", "--stub", "-o", str(out)) as done:
        said, errors = await done.communicate()
    assert done.returncode == 0, errors
    first, second, third = said.decode().splitlines()
    address = re.fullmatch(r"starting the server on http://(127\.0\.0\.1:\d+)/.*", first)
    assert address is not None
    assert re.fullmatch(r"ready after \d+ s; a bar speaks reading.flac, live", second)
    assert third.startswith(f"{out}: first frame ")
    with pytest.raises(OSError, match="Connect"):
        await get(address[1], "/healthz")
    frames, _ = decode(out.read_bytes())
    assert len(frames) > 290


def test_demo_quotes_a_server_that_does_not_start(capfd: pytest.CaptureFixture[str]) -> None:
    with (
        tempfile.TemporaryFile("a+") as log,
        started(["serve", "--stub", "--port", "99999"], log) as server,
        pytest.raises(DemoError, match="the server ended with code 2"),
    ):
        wait_until_ready(server, log, 99)
    assert "--port: port: expected less than or equal to 65535" in capfd.readouterr().err


def test_demo_avoids_a_port_that_is_taken() -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port
