"""Audio of a microphone as it is recorded, through sounddevice and PortAudio (extra `live`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

from .errors import StreamError
from .extras import install_hint
from .recording import RATE

Callback = Callable[[Any, int, object, object], None]
_PIECE_SECONDS = 0.04
_MAX_QUEUED_PIECES = 250  # ten seconds that a connection may be stuck


async def microphone(stop: asyncio.Event) -> AsyncGenerator[bytes]:
    """Yield s16le, 16 kHz mono, in pieces of 40 ms, until `stop` is set. Raises StreamError where there is no microphone."""
    device = load_device()
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue(_MAX_QUEUED_PIECES)

    def enqueue(piece: bytes) -> None:
        with suppress(asyncio.QueueFull):
            pieces.put_nowait(piece)

    def on_audio(data: Any, frames: int, times: object, status: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits for audio any more
            loop.call_soon_threadsafe(enqueue, bytes(data))

    async def end() -> None:
        await stop.wait()
        await pieces.put(None)

    with open_input(device, on_audio):
        ending = asyncio.create_task(end())
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
        finally:
            ending.cancel()


def load_device() -> ModuleType:
    """Return the module `sounddevice`. Raises StreamError that says what to install."""
    try:
        import sounddevice
    except ImportError as error:
        raise StreamError(
            f"a microphone needs the module sounddevice; install the extra 'live': {install_hint('live')}"
        ) from error
    except OSError as error:  # raised by sounddevice where the shared library is missing
        raise StreamError(
            "a microphone needs the library PortAudio, which is not installed; on Debian and Ubuntu: "
            "sudo apt install libportaudio2"
        ) from error
    module: ModuleType = sounddevice
    return module


@contextmanager
def open_input(device: ModuleType, callback: Callback) -> Iterator[None]:
    """Record; a thread of PortAudio calls `callback` with every piece. Raises StreamError."""
    piece = round(_PIECE_SECONDS * RATE)
    try:
        stream = device.RawInputStream(RATE, piece, channels=1, dtype="int16", callback=callback)
        stream.start()
    except (device.PortAudioError, ValueError) as error:
        raise StreamError(
            f"no microphone can be opened: {error}; expected a default input device that gives {RATE} Hz mono "
            "(`python -m sounddevice` lists what there is)"
        ) from error
    try:
        yield
    finally:
        stream.close()
