"""The clips of a server: taken on, looked at, watched, cancelled, removed, and not kept for ever."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from ..auth.api_keys import ApiKey
from ..avatars.table import find_avatar
from ..busy import BusyError, TooManyClipsError
from ..config.settings import ClipSettings
from ..engines.base import UnknownAvatarError
from ..storage.data_directory import (
    DataDirectory,
    move,
    remove,
    size_of,
    sync,
)
from ..storage.storage import Storage, keep_needed
from ..webhooks.table import forget_outgoing
from . import state as clip_state
from .state import (
    Clip,
    Order,
    State,
    TransitionError,
    Video,
)
from .table import (
    Key,
    clips_in,
    count_queued,
    count_unfinished,
    find_clip,
    forget_keys,
    page_of_clips,
    remove_clip,
)
from .transitions import (
    UnknownClipError,
    change,
    drop,
    insert,
    known,
    start_next,
)

_ID_BYTES = 12
_FINAL = tuple(state for state in State if state.final)


@dataclass(frozen=True)
class Report:
    """A clip and how far it is. seconds_left: None where it is not running, or has no frame yet."""

    clip: Clip
    frames_done: int
    seconds_left: float | None


class Clips:
    """Its storage is open while it is used. bell: rings, once, when anything has changed. ended: set when a clip has; whoever waits
    for it clears it.
    """

    def __init__(self, storage: Storage, settings: ClipSettings, retry_after_seconds: float) -> None:
        self._storage, self._settings, self._retry_seconds = storage, settings, retry_after_seconds
        self._tasks: dict[str, asyncio.Task[Video]] = {}
        self._done: dict[str, int] = {}
        self.bell = asyncio.Event()
        self.ended = asyncio.Event()

    @property
    def files(self) -> DataDirectory:
        return self._storage.files

    async def accept(
        self, audio: Path, order: Order, key: Key | None, bundled: bool, owner: ApiKey | None
    ) -> tuple[Clip, bool]:
        """The clip, and whether it is new; `audio` is moved away. bundled: its avatar came with the engine. owner: whose it is.

        When this returns, the clip outlives everything but its disk. Raises KeyReusedError, ClipRemovedError, BusyError,
        TooManyClipsError, UnknownAvatarError, StorageFullError.
        """
        clip, new = await self._storage.run(self._accept, audio, order, key, bundled, owner)
        self._ring()
        return clip, new

    async def known(self, key: Key) -> Clip | None:
        """The clip that the same request has made before. Raises KeyReusedError, ClipRemovedError."""
        return await self._storage.transact(known, key)

    async def report(self, clip: str, owner: str | None) -> Report:
        """owner, here and below: the key that asks, which sees its own; None sees all. Raises UnknownClipError."""
        found = await self._storage.transact(find_clip, clip, owner)
        if found is None:
            raise UnknownClipError(clip)
        return self._report(found)

    async def page(
        self, before: int | None, limit: int, state: State | None, owner: str | None
    ) -> Sequence[Report]:
        """The newest first."""
        found = await self._storage.transact(page_of_clips, before, limit, state, owner)
        return [self._report(clip) for clip in found]

    async def watch(self, clip: str, owner: str | None) -> AsyncIterator[Report]:
        """A report now and whenever it has changed, until nothing more can come of it. Raises UnknownClipError."""
        last = None
        while True:
            bell = self.bell
            report = await self.report(clip, owner)
            if report != last:
                yield report
                last = report
            if report.clip.state.final:
                return
            await bell.wait()

    async def cancel(self, clip: str, owner: str | None) -> Report:
        """What was made of it is removed, it stays in the list. Raises UnknownClipError, TransitionError."""
        found = (await self.report(clip, owner)).clip
        changed = await self.change(found, lambda now: clip_state.cancel(now, time.time()))
        if changed is None:
            raise UnknownClipError(clip)
        if changed.state is not State.CANCELLED:
            raise TransitionError(f"clip {clip} is {changed.state} already and cannot be cancelled")
        await self._stop(clip)
        await self.tidy(changed)
        return self._report(changed)

    async def remove(self, clip: str, owner: str | None) -> None:
        """Whatever its state. Raises UnknownClipError."""
        await self.report(clip, owner)
        await self._storage.transact(drop, clip)
        await self._stop(clip)
        await self._storage.run(remove, self.files.clip(clip))
        self._ring()

    async def sweep(self) -> None:
        """Remove what is too old, then the oldest of what is too much; unfinished clips stay."""
        await self._storage.run(self._sweep)
        self._ring()

    async def start_next(self) -> Clip | None:
        """The clip that waits for longest, which runs from now on."""
        clip = await self._storage.transact(start_next)
        if clip is not None:  # else the worker would hear itself, and never sleep
            self._ring()
        return clip

    async def change(self, clip: Clip, step: Callable[[Clip], Clip]) -> Clip | None:
        """What became of it: nothing where it is gone, no change where it cannot take this step."""
        changed = await self._storage.transact(change, clip.id, step)
        self._ring()
        if changed is not None and changed.state.final:
            self.ended.set()
        return changed

    async def finish(self, clip: Clip, video: Video) -> None:
        await self._storage.run(self._finish, clip, video)
        self._ring()
        self.ended.set()

    async def tidy(self, clip: Clip) -> None:
        """Remove the files that its state has no use for."""
        await self._storage.run(self._tidy, clip.id)

    def advance(self, clip: Clip, frames: int) -> None:
        self._done[clip.id] = frames
        self._ring()

    @contextmanager
    def running(self, clip: Clip, task: asyncio.Task[Video]) -> Iterator[None]:
        """While this lasts, cancelling the clip cancels the task."""
        self._tasks[clip.id] = task
        try:
            yield
        finally:
            del self._tasks[clip.id]
            self._done.pop(clip.id, None)

    async def _stop(self, clip: str) -> None:
        task = self._tasks.get(clip)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _report(self, clip: Clip) -> Report:
        if clip.state is State.SUCCEEDED:
            return Report(clip, clip.order.frames, None)
        done = self._done.get(clip.id, 0)
        if clip.state is not State.RUNNING or not done or clip.started is None:
            return Report(clip, done, None)
        each = max(0.0, time.time() - clip.started) / done
        return Report(clip, done, round(each * (clip.order.frames - done), 1))

    def _ring(self) -> None:
        bell, self.bell = self.bell, asyncio.Event()
        bell.set()

    def _accept(
        self, audio: Path, order: Order, key: Key | None, bundled: bool, owner: ApiKey | None
    ) -> tuple[Clip, bool]:
        """The file first: a row promises that it is there. A file without a row is removed at the next start."""
        before = None if key is None else self._storage.transact_here(known, key)
        if before is not None:
            return before, False
        self._storage.transact_here(self._check, order.avatar, bundled, owner)
        clip = f"clip_{secrets.token_hex(_ID_BYTES)}"
        try:
            self.files.clip(clip).mkdir(mode=0o700)
            move(audio, self.files.audio(clip))
            sync(self.files.clips)
            return self._storage.transact_here(
                insert, clip, order, key, None if owner is None else owner.id
            ), True
        except BaseException:
            remove(self.files.clip(clip))
            raise

    def _check(self, connection: Connection, avatar: str, bundled: bool, owner: ApiKey | None) -> None:
        most = None if owner is None else owner.limits.clips
        if owner is not None and most is not None and count_unfinished(connection, owner.id) >= most:
            raise TooManyClipsError(
                f"all {most} clips of the key {owner.name!r} wait or are made", self._retry_seconds
            )
        if count_queued(connection) >= self._settings.max_queued:
            raise BusyError(f"{self._settings.max_queued} clips are waiting already", self._retry_seconds)
        if not bundled and find_avatar(connection, avatar) is None:
            raise UnknownAvatarError(
                f"there is no avatar {avatar!r}; GET /v1/avatars lists those that are there"
            )

    def _finish(self, clip: Clip, video: Video) -> None:
        container = clip.order.container
        move(self.files.work(clip.id, container), self.files.video(clip.id, container))
        self._storage.transact_here(change, clip.id, lambda now: clip_state.succeed(now, video, time.time()))

    def _tidy(self, clip: str) -> None:
        found = self._storage.transact_here(find_clip, clip)
        if found is None:
            remove(self.files.clip(clip))
            return
        keep_needed(self.files, found)

    def _sweep(self) -> None:
        now = time.time()
        self._storage.transact_here(forget_keys, now - self._settings.idempotency_seconds)
        self._storage.transact_here(forget_outgoing, now - self._settings.idempotency_seconds)
        finished = list(self._storage.transact_here(clips_in, _FINAL))
        excess = size_of(self.files.clips) - self._settings.max_total_bytes
        for clip in finished:  # the oldest first
            if excess > 0 or now - (clip.ended or now) > self._settings.retention_seconds:
                excess -= size_of(self.files.clip(clip.id))
                self._storage.transact_here(remove_clip, clip.id)
                remove(self.files.clip(clip.id))
