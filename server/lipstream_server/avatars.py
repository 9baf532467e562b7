"""The faces of a server: those that came with its engine, and those that clients brought, in memory and few."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .busy import BusyError
from .engine import Engine, Opened, UnknownAvatarError
from .media_out import jpeg
from .scheduler import Scheduler
from .settings import AvatarSettings

_ID_DIGITS = 16


@dataclass(frozen=True)
class Avatar:
    """notes: what whoever brought the picture should know of it."""

    id: str
    name: str
    bundled: bool
    notes: tuple[str, ...] = ()


class Avatars:
    """retry_seconds: when a client may ask again for what is not possible now."""

    def __init__(
        self, engine: Engine, scheduler: Scheduler, settings: AvatarSettings, retry_seconds: float
    ) -> None:
        self._engine, self._scheduler, self._settings = engine, scheduler, settings
        self._retry_seconds = retry_seconds
        self._bundled = {name: Avatar(name, name.capitalize(), True) for name in engine.avatars}
        self._brought: OrderedDict[str, Avatar] = OrderedDict()  # the least recently used first
        self._opened: OrderedDict[tuple[str, str], Opened] = OrderedDict()  # likewise
        self._previews: dict[str, bytes] = {}
        self._users: Counter[str] = Counter()
        self._adding = asyncio.Lock()  # one at a time: a decoded picture is large
        self._uploads = 0

    @property
    def all(self) -> Sequence[Avatar]:
        """The default first, the one used last at the end."""
        return (*self._bundled.values(), *self._brought.values())

    def get(self, avatar: str) -> Avatar:
        """Raises UnknownAvatarError."""
        found = self._bundled.get(avatar) or self._brought.get(avatar)
        if found is None:
            raise UnknownAvatarError(
                f"there is no avatar {avatar!r}; GET /v1/avatars lists those that are there"
            )
        return found

    @contextmanager
    def used(self, avatar: str) -> Iterator[None]:
        """While a session lasts, its avatar is not dropped."""
        self._users[avatar] += 1
        try:
            yield
        finally:
            self._users[avatar] -= 1
            if not self._users[avatar]:
                del self._users[avatar]

    async def open(self, avatar: str, preset: str) -> Opened:
        """A stream at its beginning, made once while it is kept. Raises EngineError."""
        key = (avatar, preset)
        if avatar in self._brought:
            self._brought.move_to_end(avatar)
        opened = self._opened.get(key)
        if opened is None:
            opened = await self._scheduler.call(self._engine.open, avatar, preset)
        self._opened[key] = opened
        self._opened.move_to_end(key)
        while len(self._opened) > self._settings.opened:
            self._opened.popitem(last=False)
        return opened

    async def preview(self, avatar: str) -> bytes:
        """The framed portrait, a JPEG. Raises UnknownAvatarError."""
        self.get(avatar)
        kept = self._previews.get(avatar)
        if kept is None:
            picture = await self._scheduler.call(self._engine.preview, avatar)
            kept = await asyncio.to_thread(jpeg, picture)
            if avatar in self._bundled or avatar in self._brought:  # it may have made room meanwhile
                self._previews[avatar] = kept
        return kept

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Around an upload, whose bytes are kept until it is registered. Raises BusyError."""
        if self._uploads >= self._settings.uploads:
            raise BusyError(f"{self._uploads} pictures are being uploaded already", self._retry_seconds)
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    async def add(self, data: bytes, name: str | None = None) -> tuple[Avatar, bool]:
        """The avatar of a picture file, and whether it is new: the same bytes give the same avatar, under its first name.

        Raises PortraitError, and BusyError when there are too many, all of them in use.
        """
        async with self._adding:
            avatar = (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()[:_ID_DIGITS]
            if avatar in self._brought:
                self._brought.move_to_end(avatar)
                return self._brought[avatar], False
            self._check_room()
            picture = await asyncio.to_thread(self._engine.read_picture, data)
            notes = await self._scheduler.call(self._engine.register, avatar, picture)
            added = Avatar(avatar, name or f"Portrait {avatar[:4]}", False, tuple(notes))
            self._brought[avatar] = added
            await self._make_room()
            return added, True

    def _check_room(self) -> None:
        if len(self._brought) >= self._settings.most and all(
            avatar in self._users for avatar in self._brought
        ):
            raise BusyError(f"all {self._settings.most} uploaded avatars are in use", self._retry_seconds)

    async def _make_room(self) -> None:
        """Drop what was not used for longest, never what a session uses, and not what has just come."""
        idle = [avatar for avatar in list(self._brought)[:-1] if avatar not in self._users]
        for avatar in idle[: max(0, len(self._brought) - self._settings.most)]:
            del self._brought[avatar]
            self._previews.pop(avatar, None)
            for key in [key for key in self._opened if key[0] == avatar]:
                del self._opened[key]
            await self._scheduler.call(self._engine.forget, avatar)
