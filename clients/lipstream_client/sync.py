"""Client for programs without asyncio.

video = talk("ws://127.0.0.1:8000", pcm)                # a whole utterance, s16le 16 kHz mono, to a whole MP4

with SyncStreamClient("ws://127.0.0.1:8000") as client:
    client.say(pcm)
    for message in client:
        ...
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from lipstream_server.protocol import ServerMessage, SessionReady, SessionStart

from .backoff import Backoff
from .figures import Figures
from .recording import read_audio
from .sinks import FileSink
from .stream_client import StreamClient
from .streaming import stream_audio

T = TypeVar("T")


class BytesSink:
    """A sink that collects everything in memory."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> bool:
        self.data += data
        return True

    async def close(self, cut: bool) -> None:
        """Do nothing."""


def talk(
    url: str,
    audio: bytes,
    avatar: str | None = None,
    backoff: Backoff | None = None,
    key: str | None = None,
) -> bytes:
    """Return an MP4 in which an avatar speaks this audio, s16le 16 kHz mono; takes a little longer than the audio.

    Raises StreamError when no connection can be made or it is lost, and RefusedError when the server refuses the session.
    """
    sink = BytesSink()
    asyncio.run(stream_audio(url, audio, [sink], avatar, 0.0, backoff, key=key))
    return bytes(sink.data)


def stream_to_file(
    url: str,
    audio: Path,
    out: Path,
    avatar: str | None = None,
    pace: float = 1.0,
    backoff: Backoff | None = None,
    key: str | None = None,
) -> Figures:
    """Stream a recording, any file with an audio track, into an MP4 that grows as media comes, and return the figures.

    pace: 1 as fast as a microphone, 0 as fast as the server takes it. Raises StreamError, and OSError for files.
    """
    speech, sinks = read_audio(audio), [FileSink(out)]
    return asyncio.run(stream_audio(url, speech, sinks, avatar, pace, backoff, key=key))


class SyncStreamClient:
    """`StreamClient` with blocking methods, whose connection runs in a thread of its own.

    For one thread at a time, but one may send while another iterates. Raises what `StreamClient` raises.
    """

    def __init__(
        self,
        url: str,
        start: SessionStart | None = None,
        backoff: Backoff | None = None,
        reconnect: bool = False,
        key: str | None = None,
    ) -> None:
        self._client = StreamClient(url, start or SessionStart(), backoff or Backoff(), reconnect, key=key)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lipstream client", daemon=True)

    @property
    def ready(self) -> SessionReady | None:
        """The server's description of the session."""
        return self._client.ready

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._wait(self._client.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._wait(self._client.__aexit__(kind, error, trace))
        finally:
            self._stop()

    def send_audio(self, audio: bytes) -> None:
        """Send audio in the format of `start.audio`, of any size."""
        self._wait(self._client.send_audio(audio))

    def end_utterance(self) -> None:
        """End the utterance; `UtteranceEnded` follows when the last of its media has been sent."""
        self._wait(self._client.end_utterance())

    def say(self, audio: bytes) -> None:
        """Send a whole utterance."""
        self._wait(self._client.say(audio))

    def interrupt(self) -> None:
        """Interrupt the utterance; `UtteranceEnded` follows, and no more of its media."""
        self._wait(self._client.interrupt())

    def ask_stats(self) -> None:
        """Ask for statistics; `Stats` follow."""
        self._wait(self._client.ask_stats())

    def ping(self, id: str | None = None) -> None:
        """Ask for a `Pong` with this id."""
        self._wait(self._client.ping(id))

    def end(self) -> None:
        """Ask for the end of the session; the remaining media comes, then the iteration ends."""
        self._wait(self._client.end())

    def __iter__(self) -> Iterator[ServerMessage | bytes]:
        """Yield messages in order: media as bytes, all others typed."""
        messages = aiter(self._client)
        while (message := self._wait(_next(messages))) is not None:
            yield message

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C: nothing is left behind in the thread
            raise

    def _stop(self) -> None:
        async def finish() -> None:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            await asyncio.get_running_loop().shutdown_asyncgens()

        self._wait(finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _next(messages: AsyncIterator[ServerMessage | bytes]) -> ServerMessage | bytes | None:
    return await anext(messages, None)
