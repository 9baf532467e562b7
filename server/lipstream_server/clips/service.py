"""The clips of a server: accepted, reported, watched, cancelled, removed. State changes are in `transitions`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..config.settings import ClipSettings
from ..storage.data_directory import DataDirectory, move, remove
from ..storage.storage import Storage
from . import transitions
from .acceptance import ClipRequest, QueueLimits, accept_clip
from .errors import ClipFinishedError, UnknownClipError
from .idempotency import IdempotencyKey, find_accepted_clip
from .outbox import Outbox
from .recovery import remove_unneeded_files
from .retention import remove_expired_clips
from .state import (
    Clip,
    Failure,
    State,
    Video,
)
from .table import find_clip, page_of_clips


@dataclass(frozen=True)
class ClipReport:
    """A clip and its progress.

    Attributes:
        clip: The clip.
        frames_done: Frames in the video so far.
        seconds_left: Estimated time until the video is finished; None unless it is running and has frames.
    """

    clip: Clip
    frames_done: int
    seconds_left: float | None


class ClipService:
    """All clips of a server.

    In all methods, `owner` is the id of the key that asks, which sees its own clips; None sees all. A clip that the
    owner does not see raises `UnknownClipError`.

    Args:
        storage: Open for as long as the service is used.
        settings: Settings of clips.
        retry_after_seconds: Seconds after which a refused client may try again.
        outbox: Where the end of a clip is reported.

    Attributes:
        changed: Set, and replaced by a new event, at every change of any clip.
    """

    def __init__(
        self, storage: Storage, settings: ClipSettings, retry_after_seconds: float, outbox: Outbox
    ) -> None:
        self._storage, self._settings, self._outbox = storage, settings, outbox
        self._limits = QueueLimits(settings.max_queued, retry_after_seconds)
        self._tasks: dict[str, asyncio.Task[Video]] = {}
        self._frames_done: dict[str, int] = {}
        self.changed = asyncio.Event()

    @property
    def files(self) -> DataDirectory:
        """Paths of the data directory."""
        return self._storage.files

    async def accept(self, request: ClipRequest) -> tuple[Clip, bool]:
        """Accept a clip. When this returns, the clip survives everything but the loss of its disk.

        Returns:
            The clip, and whether it is new.

        Raises:
            IdempotencyKeyReusedError: The idempotency key came with another request.
            ClipRemovedError: The clip of the idempotency key was removed.
            TooManyClipsError: The key has as many unfinished clips as it may have.
            BusyError: The queue is full.
            UnknownAvatarError: The avatar was removed meanwhile.
            StorageFullError: The disk is full.
        """
        clip, is_new = await self._storage.run(accept_clip, self._storage, request, self._limits)
        self._notify()
        return clip, is_new

    async def find_accepted(self, key: IdempotencyKey) -> Clip | None:
        """Return the clip that the same request made before.

        Raises:
            IdempotencyKeyReusedError: The key came with another request.
            ClipRemovedError: The clip was removed.
        """
        return await self._storage.transact(find_accepted_clip, key)

    async def report(self, clip_id: str, owner: str | None) -> ClipReport:
        """Return a clip and its progress."""
        clip = await self._storage.transact(find_clip, clip_id, owner)
        if clip is None:
            raise UnknownClipError(clip_id)
        return self._report(clip)

    async def page(
        self, before: int | None, limit: int, state: State | None, owner: str | None
    ) -> Sequence[ClipReport]:
        """Return clips with numbers below `before`, the newest first."""
        clips = await self._storage.transact(page_of_clips, before, limit, state, owner)
        return [self._report(clip) for clip in clips]

    async def watch(self, clip_id: str, owner: str | None) -> AsyncIterator[ClipReport]:
        """Yield a report now and whenever it changes, until the clip is in its final state."""
        last = None
        while True:
            changed = self.changed
            report = await self.report(clip_id, owner)
            if report != last:
                yield report
                last = report
            if report.clip.state.is_final:
                return
            await changed.wait()

    async def cancel(self, clip_id: str, owner: str | None) -> ClipReport:
        """Cancel an unfinished clip; its files are removed, it stays in the list.

        Raises:
            UnknownClipError: There is no such clip.
            ClipFinishedError: The clip has succeeded or failed.
        """
        await self.report(clip_id, owner)
        clip = await self._storage.transact(transitions.cancel, self._outbox, clip_id, time.time())
        self._notify_ended()
        if clip is None:
            raise UnknownClipError(clip_id)
        if clip.state is not State.CANCELLED:
            raise ClipFinishedError(f"clip {clip_id} is {clip.state} already and cannot be cancelled")
        await self._stop_task(clip_id)
        await self.remove_unneeded_files(clip_id)
        return self._report(clip)

    async def remove(self, clip_id: str, owner: str | None) -> None:
        """Remove a clip in any state, with its files."""
        await self.report(clip_id, owner)
        await self._storage.transact(transitions.delete, self._outbox, clip_id)
        await self._stop_task(clip_id)
        await self._storage.run(remove, self.files.clip(clip_id))
        self._notify()

    async def remove_expired(self) -> None:
        """Remove finished clips that are too old or too much."""
        await self._storage.run(remove_expired_clips, self._storage, self._settings, self._outbox)
        self._notify()

    async def start_next(self) -> Clip | None:
        """Set the clip that has been queued for longest running, and return it."""
        clip = await self._storage.transact(transitions.start_next, time.time())
        if clip is not None:  # otherwise the worker would notify itself, and never sleep
            self._notify()
        return clip

    async def requeue(self, clip: Clip) -> None:
        """Put a running clip back into the queue."""
        await self._storage.transact(transitions.requeue, clip.id)
        self._notify()

    async def fail(self, clip: Clip, failure: Failure) -> None:
        """End a clip with a failure, unless it has ended."""
        await self._storage.transact(transitions.fail, self._outbox, clip.id, failure, time.time())
        self._notify_ended()

    async def succeed(self, clip: Clip, video: Video) -> None:
        """Give the rendered file its final name, and end the clip with it."""
        await self._storage.run(self._succeed, clip, video)
        self._notify_ended()

    async def remove_unneeded_files(self, clip_id: str) -> None:
        """Remove the files that the state of a clip does not need."""
        await self._storage.run(self._remove_unneeded_files, clip_id)

    def set_frames_done(self, clip: Clip, frames: int) -> None:
        """Report the progress of a running clip."""
        self._frames_done[clip.id] = frames
        self._notify()

    @contextmanager
    def running(self, clip: Clip, task: asyncio.Task[Video]) -> Iterator[None]:
        """Let cancelling the clip cancel a task, while the context lasts."""
        self._tasks[clip.id] = task
        try:
            yield
        finally:
            del self._tasks[clip.id]
            self._frames_done.pop(clip.id, None)

    async def _stop_task(self, clip_id: str) -> None:
        task = self._tasks.get(clip_id)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _report(self, clip: Clip) -> ClipReport:
        if clip.state is State.SUCCEEDED:
            return ClipReport(clip, clip.spec.frames, None)
        done = self._frames_done.get(clip.id, 0)
        if clip.state is not State.RUNNING or not done or clip.started is None:
            return ClipReport(clip, done, None)
        seconds_per_frame = max(0.0, time.time() - clip.started) / done
        return ClipReport(clip, done, round(seconds_per_frame * (clip.spec.frames - done), 1))

    def _notify(self) -> None:
        """Wake everybody who waits for a change."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def _notify_ended(self) -> None:
        self._notify()
        self._outbox.notify()

    def _succeed(self, clip: Clip, video: Video) -> None:
        container = clip.spec.container
        move(self.files.work(clip.id, container), self.files.video(clip.id, container))
        self._storage.transact_in_thread(transitions.succeed, self._outbox, clip.id, video, time.time())

    def _remove_unneeded_files(self, clip_id: str) -> None:
        clip = self._storage.transact_in_thread(find_clip, clip_id)
        if clip is None:
            remove(self.files.clip(clip_id))
        else:
            remove_unneeded_files(self.files, clip)
