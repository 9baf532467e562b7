"""An engine in a process of its own. It may crash or hang: it is killed, started again, told what it knew, and asked again.

All that the process remembers is here too, in a form that only it can read: a stream as small as its last frames and sound. So
a stream goes on as if nothing had happened, but later. Who wanted the window that it was lost at asks for it again, or for another.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from ...config.settings import EngineSettings
from ..base import (
    DeviceState,
    EngineGoneError,
    EngineLostError,
    Health,
    Made,
    Opened,
    Picture,
    Request,
    Restorable,
    Stream,
)
from .handle import Handle, handle_of, told
from .host import Facts
from .messages import (
    Answer,
    Began,
    Call,
    Known,
)
from .restart_policy import Losses
from .worker import Life, LostError

log = logging.getLogger(__name__)
_NEWEST = 0.2  # the weight of a new measurement in what a frame takes


class EngineProcess:
    """An `Engine`, and a context manager that closes it. make: makes the real one, in its process; it can be pickled.

    preload: modules that it needs, see `Life.begin`. All but `health`, `patience`, `close` and `read_picture` are for one thread.
    """

    def __init__(
        self,
        make: Callable[[], Restorable],
        settings: EngineSettings | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        self._make, self._preload = make, preload
        self._settings = settings or EngineSettings()
        self._losses = Losses(self._settings.max_restarts, self._settings.restart_period_seconds)
        self._health = Health()
        self._facts: Facts | None = None
        self._life: Life | None = None
        self._closing = threading.Event()
        self._changing = threading.Lock()  # of the life: nobody starts one behind the back of `close`
        self._avatars: dict[str, bytes] = {}
        self._freed: deque[int] = deque()
        self._last: Request | None = None  # that was made; to warm the next process
        self._seconds_per_frame = 0.0  # of this life; 0 before its first window
        self._patience = 0.0

    def start(self) -> Self:
        """Raises EngineGoneError, and what loading raised."""
        self._begin()
        return self

    def close(self) -> None:
        self._closing.set()
        with self._changing:
            if self._life is not None:
                self._life.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def health(self) -> Health:
        return self._health

    @property
    def patience(self) -> float:
        return self._patience

    @property
    def pid(self) -> int | None:
        """Of the engine's process; None before `start`."""
        return None if self._life is None else self._life.process.pid

    @property
    def name(self) -> str:
        return self._known.name

    @property
    def size(self) -> tuple[int, int]:
        return self._known.size

    @property
    def fps(self) -> int:
        return self._known.fps

    @property
    def avatars(self) -> Sequence[str]:
        return self._known.avatars

    @property
    def presets(self) -> Sequence[str]:
        return self._known.presets

    def samples_needed(self, frames: int) -> int:
        return self._known.hearing.needed(frames)

    def read_picture(self, data: bytes) -> Picture:
        return self._known.picture_reader(data)

    def register(self, avatar: str, picture: Picture) -> Sequence[str]:
        answer = self._call("register", avatar, picture)
        assert isinstance(answer, tuple)
        notes, self._avatars[avatar] = answer
        return tuple(notes)

    def forget(self, avatar: str) -> None:
        self._avatars.pop(avatar, None)
        self._call("forget", avatar)

    def preview(self, avatar: str) -> Picture:
        picture: Picture = self._call("preview", avatar)
        return picture

    def open(self, avatar: str, preset: str) -> Opened:
        began: Began = self._call("open", avatar, preset)
        assert began.idle is not None
        # A copy: these pictures stay as long as the session, and would keep their slot, and all memory of a process that is lost.
        return Opened(self._begun(began, avatar, preset), began.idle.copy())

    def begin(self, avatar: str, preset: str, seed: int) -> Stream:
        return self._begun(self._call("begin", avatar, preset, seed), avatar, preset)

    def generate(self, requests: Sequence[Request]) -> list[Made]:
        begin = time.monotonic()
        frames = sum(request.frames for request in requests)
        try:
            answers: list[Answer] = self._ask(self._alive(), "generate", [list(requests)])
        except LostError as lost:
            self._bring_back(lost)
            raise EngineLostError(f"{lost}; it has been started again") from lost
        self._measure((time.monotonic() - begin) / frames)
        self._last = requests[0]
        return [
            Made(
                self._handle(answer.stream, handle_of(request).avatar, handle_of(request).preset),
                answer.frames,
                answer.work,
            )
            for request, answer in zip(requests, answers, strict=True)
        ]

    def look_back(self, streams: Sequence[Stream]) -> None:
        self._call("look_back", list(streams))

    def device_state(self) -> DeviceState:
        state: DeviceState = self._call("device_state")
        return state

    def check(self) -> None:
        before = self._health.restarts
        self._call("check")
        if self._health.restarts != before and self._last is not None:
            self._call(
                "generate", [self._last]
            )  # so that the first who speaks now need not wait for what is made lazily

    def _call(self, name: str, *arguments: object) -> Any:
        """Of calls that no sound is waiting for: what was lost is called again."""
        lost: LostError | None = None
        for _ in range(self._settings.max_attempts):
            life = self._alive()
            try:
                return self._ask(life, name, arguments)
            except LostError as error:
                lost = error
                self._bring_back(error)
        raise EngineLostError(
            f"{name} was tried {self._settings.max_attempts} times, and each time the engine was lost: {lost}"
        )

    def _ask(
        self, life: Life, name: str, arguments: Sequence[object]
    ) -> Any:  # whatever the method of `Host` returns
        freed = tuple(self._freed.popleft() for _ in range(len(self._freed)))
        sent = tuple(told(argument, life.number) for argument in arguments)
        self._patience = self._bound(name, arguments)
        try:
            return life.ask(Call(name, sent, freed), self._patience)
        finally:
            self._patience = 0.0

    def _bound(self, name: str, arguments: Sequence[object]) -> float:
        settings = self._settings
        if name in ("check", "device_state"):
            return settings.window_timeout_seconds
        if name != "generate" or not self._seconds_per_frame:
            return settings.call_timeout_seconds
        (requests,) = arguments
        assert isinstance(requests, list)
        frames: int = sum(request.frames for request in requests)
        return max(
            settings.window_timeout_seconds, settings.window_timeout_factor * self._seconds_per_frame * frames
        )

    def _measure(self, seconds: float) -> None:
        known = self._seconds_per_frame or seconds
        self._seconds_per_frame = known + _NEWEST * (seconds - known)

    def _bring_back(self, lost: LostError) -> None:
        """Raises EngineGoneError where it was lost too often."""
        if self._closing.is_set():
            raise EngineGoneError("the engine has been closed")
        begin = time.monotonic()
        self._health = replace(self._health, state="restarting")
        while True:
            log.error("%s; it is started again", lost)
            self._pause(self._losses.add(time.monotonic()))
            try:
                life = self._begin()
                for avatar, kept in self._avatars.items():
                    life.ask(Call("restore_avatar", (avatar, kept)), self._settings.call_timeout_seconds)
                break
            except LostError as error:
                lost = error
            except EngineGoneError:
                raise
            except Exception as error:
                log.exception("the engine could not be loaded again")
                lost = LostError(f"the engine could not be loaded: {error}")
        self._health = Health("running", self._health.restarts + 1)
        log.warning("the engine is back after %.2f s", time.monotonic() - begin)

    def _pause(self, seconds: float | None) -> None:
        if seconds is None:
            self._health = replace(self._health, state="lost")
            settings = self._settings
            raise EngineGoneError(
                f"the engine was lost more than {settings.max_restarts} times within {settings.restart_period_seconds:g} s and is "
                "not started again: look into the log above, then restart the server"
            )
        if self._closing.wait(seconds):
            raise EngineGoneError("the engine has been closed")

    def _begin(self) -> Life:
        number = 1 if self._life is None else self._life.number + 1
        if self._life is not None:
            self._life.end()
        self._seconds_per_frame = 0.0
        life = Life.begin(self._make, number, self._preload)
        with self._changing:
            self._life = life
            if self._closing.is_set():
                life.kill()
        self._facts = life.facts(self._settings.load_timeout_seconds)
        return life

    def _alive(self) -> Life:
        if self._closing.is_set() or self._health.state == "lost":
            raise EngineGoneError("there is no engine any more; restart the server")
        if self._life is None:
            raise RuntimeError("expected an engine that was started; call start() first")
        return self._life

    @property
    def _known(self) -> Facts:
        if self._facts is None:
            raise RuntimeError("expected an engine that was started; call start() first")
        return self._facts

    def _begun(self, began: Began, avatar: str, preset: str) -> Handle:
        self._avatars[avatar] = began.avatar
        return self._handle(began.stream, avatar, preset)

    def _handle(self, known: Known, avatar: str, preset: str) -> Handle:
        handle = Handle(known.key, known.batch_key, avatar, preset, known.kept)
        weakref.finalize(handle, self._freed.append, known.key).atexit = False
        return handle
