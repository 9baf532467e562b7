"""What a microphone hears, as it hears it: through sounddevice and PortAudio, which come with the extra `live`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

from .errors import StreamError
from .recording import RATE

Hear = Callable[[Any, int, object, object], None]
_PIECE_SECONDS = 0.04
_MOST_PIECES = 250  # ten seconds that a connection may be stuck


async def microphone(stop: asyncio.Event) -> AsyncGenerator[bytes]:
    """s16le, 16 kHz mono, in pieces of 40 ms, until `stop` is set. Raises StreamError where nothing can be heard."""
    device = load_device()
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[bytes | None] = asyncio.Queue(_MOST_PIECES)

    def keep(piece: bytes) -> None:
        with suppress(asyncio.QueueFull):
            heard.put_nowait(piece)

    def hear(data: Any, frames: int, times: object, status: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(keep, bytes(data))

    async def end() -> None:
        await stop.wait()
        await heard.put(None)

    with open_input(device, hear):
        ending = asyncio.create_task(end())
        try:
            while (piece := await heard.get()) is not None:
                yield piece
        finally:
            ending.cancel()


def load_device() -> ModuleType:
    """The module `sounddevice`. Raises StreamError that says what to install."""
    try:
        import sounddevice
    except ImportError as error:
        raise StreamError(
            "a microphone needs the extra 'live', which is not installed; install it: pip install 'lipstream[live]'"
        ) from error
    except OSError as error:  # its way to say that the shared library is not there
        raise StreamError(
            "a microphone needs the library PortAudio, which is not installed; on Debian and Ubuntu: "
            "sudo apt install libportaudio2"
        ) from error
    module: ModuleType = sounddevice
    return module


@contextmanager
def open_input(device: ModuleType, hear: Hear) -> Iterator[None]:
    """`hear` is called from a thread of PortAudio with every piece. Raises StreamError."""
    piece = round(_PIECE_SECONDS * RATE)
    try:
        stream = device.RawInputStream(RATE, piece, channels=1, dtype="int16", callback=hear)
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
