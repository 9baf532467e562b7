"""Makes the clips that are queued, one after the other, one window at a time behind all that sessions wait for."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from ..engines.base import (
    EngineError,
    EngineGoneError,
    EngineLostError,
    Made,
    Request,
)
from ..errors import MediaError
from ..media.file.clip_writer import Film, FilmSize
from ..media.file.recording import Hearing
from ..media.file.signing import Sign
from ..observability.logs import about, log_event
from ..scheduling.scheduler import BACKGROUND
from ..sessions.service import Service
from ..storage.data_directory import StorageFullError
from . import state as clip_state
from .service import Clips
from .state import Clip, Failure, Video

log = logging.getLogger(__name__)
T = TypeVar("T")


class ClipWorker:
    """service: ready. clips: its storage is open. sign: what is done to a finished file before it is given out."""

    def __init__(self, service: Service, clips: Clips, sign: Sign | None = None) -> None:
        self._service, self._clips, self._sign = service, clips, sign
        self._settings = service.settings.clips

    async def run(self) -> None:
        """Until it is cancelled; the clip that it was at is queued again then."""
        while not self._service.telemetry.drain.begun:
            bell = self._clips.bell
            clip = await self._clips.start_next()
            if clip is None:
                await bell.wait()
            else:
                with about(clip=clip.id):
                    await self._make(clip)

    async def _make(self, clip: Clip) -> None:
        began = time.monotonic()
        rendering = asyncio.create_task(self._render(clip), name=f"clip {clip.id}")
        try:
            with self._clips.running(clip, rendering):
                video = await rendering
                await self._clips.finish(clip, video)
            _tell("succeeded", clip, began)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                await self._clips.change(clip, clip_state.requeue)
                _tell("queued again", clip, began)
                raise
            # Otherwise a client has cancelled the clip, which is in that state already, or is gone.
            _tell("cancelled", clip, began)
        except Exception as error:
            await self._failed(clip, error, began)
        await self._clips.tidy(clip)

    async def _failed(self, clip: Clip, error: Exception, began: float) -> None:
        if full(error):
            log.warning("the disk is full; clip %s is made when there is room", clip.id)
            await self._clips.change(clip, clip_state.requeue)
            _tell("queued again", clip, began)
            await asyncio.sleep(self._settings.full_seconds)
            return
        if isinstance(error, EngineGoneError):
            log.warning(
                "there is no engine any more; clip %s is made when the server has been restarted", clip.id
            )
            await self._clips.change(clip, clip_state.requeue)
            _tell("queued again", clip, began)
            await asyncio.Event().wait()
        failure = _failure(error)
        if failure.code == "internal":
            log.error("clip %s failed", clip.id, exc_info=error)
        await self._clips.change(clip, lambda now: clip_state.fail(now, failure, time.time()))
        _tell("failed", clip, began)

    async def _render(self, clip: Clip) -> Video:
        service, files, order = self._service, self._clips.files, clip.order
        length = self._settings.window or service.settings.windows.lengths[-1]
        engine = service.engine
        size = FilmSize(order.width, order.height, order.fps, order.frames, service.settings.mark)
        audio, work = files.audio(clip.id), files.work(clip.id, order.container)
        with service.avatars.used(order.avatar):
            stream = await service.avatars.begin(order.avatar, order.preset, order.seed)
            hearing = await asyncio.to_thread(Hearing, audio)
            heard = 0
            async with (
                _entered(Film(audio, work, size), self._encode) as film,
                _entered(hearing, self._encode),
            ):
                for start in range(0, order.frames, length):
                    missing = engine.samples_needed(start + length) - heard
                    samples, ended = await self._encode(hearing.take, missing)
                    heard += len(samples)
                    request = Request(stream, samples, start, length, ended)
                    made = await self._window(request, order.preset)
                    stream = made.stream
                    await self._encode(film.add, made.frames)
                    self._clips.advance(clip, film.frames)
        if self._sign is not None:
            await asyncio.to_thread(self._sign, work)
        return await asyncio.to_thread(_video, work)

    async def _window(self, request: Request, preset: str) -> Made:
        for _ in range(self._service.settings.engine.tries - 1):
            try:
                return await self._service.scheduler.generate(request, BACKGROUND, preset)
            except EngineGoneError:
                raise
            except EngineLostError:
                log.warning("the engine was lost at a window of a clip; it is asked for again")
        return await self._service.scheduler.generate(request, BACKGROUND, preset)

    async def _encode(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._service.encoders, work, *arguments)


M = TypeVar("M", bound=AbstractContextManager[object])


@asynccontextmanager
async def _entered(manager: M, run: Callable[..., Awaitable[object]]) -> AsyncIterator[M]:
    """A context manager whose ends block, entered and left in another thread."""
    await run(manager.__enter__)
    try:
        yield manager
    except BaseException as error:
        await run(manager.__exit__, type(error), error, error.__traceback__)
        raise
    await run(manager.__exit__, None, None, None)


def _tell(outcome: str, clip: Clip, began: float) -> None:
    seconds = round(time.monotonic() - began, 1)
    log_event(log, "clip ended", outcome=outcome, seconds=seconds, frames=clip.order.frames)


def full(error: BaseException | None) -> bool:
    """Whether the disk was full; FFmpeg's errors have the number too."""
    return isinstance(error, StorageFullError) or getattr(error, "errno", None) == errno.ENOSPC


def _failure(error: Exception) -> Failure:
    match error:
        case EngineError():
            return Failure("avatar_unusable", str(error))
        case MediaError():
            return Failure("recording_damaged", "the recording cannot be read to its end; export it again")
        case _:
            return Failure("internal", "the server made a mistake with this clip; post it again")


def _video(path: Path) -> Video:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Video(path.stat().st_size, digest[:32])
