"""What runs in the engine's own process: one engine, and the streams that the server has not forgotten."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from ...media.arrays import (
    Frame,
)
from ..base import (
    DeviceState,
    EngineError,
    OutOfMemoryError,
    RestorableEngine,
    Stream,
    WindowRequest,
)
from ..lookahead_table import LookaheadTable
from .messages import (
    Answer,
    Asked,
    Began,
    Call,
    Fault,
    Known,
    Told,
)
from .parent import follow_parent
from .transport import EngineEnd

LIFE_BITS = 32
SPARED = (signal.SIGINT, signal.SIGTERM)
"""Signals that are meant for the server and that an engine does not hear."""


@dataclass(frozen=True)
class Facts:
    """What the server knows of an engine without asking again."""

    name: str
    size: tuple[int, int]
    fps: int
    avatars: tuple[str, ...]
    presets: tuple[str, ...]
    hearing: LookaheadTable
    image_decoder: Callable[[bytes], Frame]

    @classmethod
    def of(cls, engine: RestorableEngine) -> Facts:
        table = LookaheadTable.of(engine.samples_needed)
        names = tuple(engine.avatars), tuple(engine.presets)
        return cls(engine.name, engine.size, engine.fps, *names, table, engine.image_decoder)


class Host:
    """The methods that a `Call` may name. life: the how manieth process this is, part of the keys of its streams."""

    def __init__(self, engine: RestorableEngine, life: int) -> None:
        self._engine = engine
        self._streams: dict[int, Stream] = {}
        self._keys = count((life << LIFE_BITS) + 1)

    def answer(self, call: Call) -> object:
        for key in call.freed:
            self._streams.pop(key, None)
        return getattr(self, call.name)(*call.arguments)

    def check(self) -> int:
        """It answers: how many streams it keeps."""
        return len(self._streams)

    def device_state(self) -> DeviceState:
        return self._engine.device_state()

    def register(self, avatar: str, picture: Frame) -> tuple[Sequence[str], bytes]:
        notes = self._engine.register(avatar, picture)
        return tuple(notes), self._engine.snapshot_avatar(avatar)

    def restore_avatar(self, avatar: str, kept: bytes) -> None:
        self._engine.restore_avatar(avatar, kept)

    def unregister(self, avatar: str) -> None:
        self._engine.unregister(avatar)

    def preview(self, avatar: str) -> Frame:
        return self._engine.preview(avatar)

    def open(self, avatar: str, preset: str) -> Began:
        opened = self._engine.open(avatar, preset)
        return Began(self._know(opened.stream), self._engine.snapshot_avatar(avatar), opened.idle)

    def create_stream(self, avatar: str, preset: str, seed: int) -> Began:
        stream = self._engine.create_stream(avatar, preset, seed)
        return Began(self._know(stream), self._engine.snapshot_avatar(avatar), None)

    def generate(self, asked: Sequence[Asked]) -> list[Answer]:
        requests = [
            WindowRequest(self._find(each.stream), each.samples, each.start, each.frames, each.ended)
            for each in asked
        ]
        made = self._engine.generate(requests)
        return [Answer(self._know(each.stream), each.frames, each.timings) for each in made]

    def prefetch_motion_features(self, streams: Sequence[Told]) -> None:
        self._engine.prefetch_motion_features([self._find(stream) for stream in streams])

    def _know(self, stream: Stream) -> Known:
        key = next(self._keys)
        self._streams[key] = stream
        return Known(key, stream.batch_key, self._engine.snapshot_stream(stream))

    def _find(self, told: Told) -> Stream:
        stream = self._streams.get(told.key)
        if stream is None:
            if told.kept is None:
                raise KeyError(f"expected a stream of this engine's process, got key {told.key}")
            stream = self._engine.restore_stream(told.avatar, told.preset, told.kept)
            self._streams[told.key] = stream
        return stream


def serve(pipe: EngineEnd, make: Callable[[], RestorableEngine], life: int) -> None:
    """Answer calls until the server closes its end, or is gone."""
    # Also where the fork server was started by somebody who heard them, and by threads that imports began before this.
    for each in SPARED:
        signal.signal(each, signal.SIG_IGN)
    follow_parent()
    try:
        engine = make()
        answer: object = Facts.of(engine)
    except Exception as error:
        pipe.send(fault(error))
        return
    host = Host(engine, life)
    while True:
        try:
            pipe.send(answer)
            call = pipe.receive()
        except (EOFError, OSError):
            return
        assert isinstance(call, Call)
        try:
            answer = host.answer(call)
        except Exception as error:
            answer = fault(error)
        call = None  # what it holds would outlive its use until the next one comes


def fault(error: Exception) -> object:
    """What is sent in the place of an answer: the seam's own errors as they are, of others only what they say."""
    if isinstance(error, EngineError | OutOfMemoryError):
        error.__context__ = error.__cause__ = (
            None  # what was made on the way to it, and may fill the device, is let go
        )
        return error.with_traceback(None)
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        return Fault(str(error), code)
    return Fault("".join(traceback.format_exception(error)), None)
