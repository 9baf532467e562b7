"""The clip worker: renders queued clips one after the other, at lower priority than every live session."""

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
    WindowRequest,
    WindowResult,
)
from ..errors import MediaError
from ..media.file.clip_writer import ClipFormat, ClipWriter
from ..media.file.recording import RecordingReader
from ..media.file.signing import ClipSigner
from ..observability.logs import log_context, log_event
from ..scheduling.batches import BACKGROUND, WindowJob
from ..sessions.service import Service
from ..storage.data_directory import StorageFullError
from .service import ClipService
from .state import Clip, Failure, Video

log = logging.getLogger(__name__)
T = TypeVar("T")


class ClipWorker:
    """Renders queued clips.

    Args:
        service: Engine, scheduler and avatars; ready.
        clips: The clips of the server.
        sign: Signs a finished file before it is published; None for unsigned clips.
    """

    def __init__(self, service: Service, clips: ClipService, sign: ClipSigner | None = None) -> None:
        self._service, self._clips, self._sign = service, clips, sign
        self._settings = service.settings.clips

    async def run(self) -> None:
        """Render clips until cancelled or drained. A clip that is cut short is queued again."""
        while not self._service.telemetry.drain.has_started:
            changed = self._clips.changed
            clip = await self._clips.start_next()
            if clip is None:
                await changed.wait()
            else:
                with log_context(clip=clip.id):
                    await self._process(clip)

    async def _process(self, clip: Clip) -> None:
        started = time.monotonic()
        rendering = asyncio.create_task(self._render(clip), name=f"clip {clip.id}")
        try:
            with self._clips.running(clip, rendering):
                video = await rendering
                await self._clips.succeed(clip, video)
            _log_outcome("succeeded", clip, started)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                await self._requeue(clip, started)
                raise
            # Otherwise a client has cancelled the clip, which is in that state already, or was removed.
            _log_outcome("cancelled", clip, started)
        except Exception as error:
            await self._handle_error(clip, error, started)
        await self._clips.remove_unneeded_files(clip.id)

    async def _handle_error(self, clip: Clip, error: Exception, started: float) -> None:
        if is_disk_full(error):
            log.warning("the disk is full; clip %s is rendered when there is room", clip.id)
            await self._requeue(clip, started)
            await asyncio.sleep(self._settings.disk_full_retry_seconds)
            return
        if isinstance(error, EngineGoneError):
            log.warning("the engine is gone; clip %s is rendered when the server has been restarted", clip.id)
            await self._requeue(clip, started)
            await asyncio.Event().wait()
        failure = _failure_of(error)
        if failure.code == "internal":
            log.error("clip %s failed", clip.id, exc_info=error)
        await self._clips.fail(clip, failure)
        _log_outcome("failed", clip, started)

    async def _requeue(self, clip: Clip, started: float) -> None:
        await self._clips.requeue(clip)
        _log_outcome("queued again", clip, started)

    async def _render(self, clip: Clip) -> Video:
        """Render a clip window by window, sign the file, and return what it is."""
        service, files, spec = self._service, self._clips.files, clip.spec
        window_frames = self._settings.window_frames or service.settings.windows.lengths[-1]
        engine = service.engine
        size = ClipFormat(spec.width, spec.height, spec.fps, spec.frames, service.settings.watermark)
        audio, work = files.audio(clip.id), files.work(clip.id, spec.container)
        with service.avatars.in_use(spec.avatar):
            stream = await service.avatars.open_seeded(spec.avatar, spec.preset, spec.seed)
            recording = await asyncio.to_thread(RecordingReader, audio)
            samples_read = 0
            async with (
                _entered_in_thread(ClipWriter(audio, work, size), self._run_in_encoder) as writer,
                _entered_in_thread(recording, self._run_in_encoder),
            ):
                for start in range(0, spec.frames, window_frames):
                    missing = engine.samples_needed(start + window_frames) - samples_read
                    samples, ended = await self._run_in_encoder(recording.read, missing)
                    samples_read += len(samples)
                    request = WindowRequest(stream, samples, start, window_frames, ended)
                    result = await self._generate(request, spec.preset)
                    stream = result.stream
                    await self._run_in_encoder(writer.add, result.frames)
                    self._clips.set_frames_done(clip, writer.frames)
        if self._sign is not None:
            await asyncio.to_thread(self._sign, work)
        return await asyncio.to_thread(_describe_video, work)

    async def _generate(self, request: WindowRequest, preset: str) -> WindowResult:
        """Generate a window, again where the engine was lost and restarted."""
        for _ in range(self._service.settings.engine.max_attempts - 1):
            try:
                return await self._service.scheduler.generate(WindowJob(request, BACKGROUND), preset)
            except EngineGoneError:
                raise
            except EngineLostError:
                log.warning("the engine was lost at a window of a clip; the window is requested again")
        return await self._service.scheduler.generate(WindowJob(request, BACKGROUND), preset)

    async def _run_in_encoder(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._service.encoders, function, *arguments)


M = TypeVar("M", bound=AbstractContextManager[object])


@asynccontextmanager
async def _entered_in_thread(manager: M, run: Callable[..., Awaitable[object]]) -> AsyncIterator[M]:
    """Enter and leave a blocking context manager in another thread."""
    await run(manager.__enter__)
    try:
        yield manager
    except BaseException as error:
        await run(manager.__exit__, type(error), error, error.__traceback__)
        raise
    await run(manager.__exit__, None, None, None)


def _log_outcome(outcome: str, clip: Clip, started: float) -> None:
    seconds = round(time.monotonic() - started, 1)
    log_event(log, "clip ended", outcome=outcome, seconds=seconds, frames=clip.spec.frames)


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether an error means that the disk is full; FFmpeg's errors carry the number, too."""
    return isinstance(error, StorageFullError) or getattr(error, "errno", None) == errno.ENOSPC


def _failure_of(error: Exception) -> Failure:
    match error:
        case EngineError():
            return Failure("avatar_unusable", str(error))
        case MediaError():
            return Failure("recording_damaged", "the recording cannot be read to its end; export it again")
        case _:
            return Failure("internal", "the server made a mistake with this clip; post it again")


def _describe_video(path: Path) -> Video:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Video(path.stat().st_size, digest[:32])
