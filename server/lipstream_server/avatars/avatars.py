"""The faces of a server: those that came with its engine, and those that clients brought, kept on disk by their content.

What the engine has worked out of a face stays in memory while there is room, and is worked out again when it is asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..config.settings import AvatarSettings
from ..engines.base import (
    AvatarInUseError,
    BundledAvatarError,
    Engine,
    Opened,
    Picture,
    Stream,
    UnknownAvatarError,
)
from ..media.live.media_output import jpeg
from ..scheduling.scheduler import Scheduler
from ..storage.data_directory import move, remove, write
from ..storage.storage import Storage
from .table import (
    Crop,
    KeptAvatar,
    add_avatar,
    find_avatar,
    list_it,
    page_of_avatars,
    remove_avatar,
    remove_unneeded,
    wanted,
)

_ID_DIGITS = 16


@dataclass(frozen=True)
class Avatar:
    """notes: what whoever brought the picture should know of it. number: rises in the order of the list."""

    id: str
    name: str
    bundled: bool
    notes: tuple[str, ...] = ()
    number: int = 0


class Avatars:
    """Its storage is open while it is used."""

    def __init__(
        self, engine: Engine, scheduler: Scheduler, storage: Storage, settings: AvatarSettings
    ) -> None:
        self._engine, self._scheduler = engine, scheduler
        self._storage, self._settings = storage, settings
        self._bundled = {
            name: Avatar(name, name.capitalize(), True, number=place - len(engine.avatars))
            for place, name in enumerate(engine.avatars)
        }
        self._registered: OrderedDict[str, None] = OrderedDict()  # the least recently used first
        self._opened: OrderedDict[tuple[str, str], Opened] = OrderedDict()  # likewise
        self._previews: dict[str, bytes] = {}  # of those that are bundled
        self._users: Counter[str] = Counter()
        self._preparing = asyncio.Lock()  # one at a time: a decoded picture is large

    async def page(self, after: int | None, limit: int, owner: str | None) -> Sequence[Avatar]:
        """Those whose number is larger: the default first, then the bundled ones, then in the order in which they came.

        owner, here and below: the key that asks, which sees its own and the bundled ones; None sees all.
        """
        start = -len(self._bundled) - 1 if after is None else after
        bundled = [avatar for avatar in self._bundled.values() if avatar.number > start][:limit]
        rest = limit - len(bundled)
        kept = await self._storage.transact(page_of_avatars, max(0, start), rest, owner) if rest else []
        return [*bundled, *map(_avatar, kept)]

    async def get(self, avatar: str, owner: str | None) -> Avatar:
        """Raises UnknownAvatarError."""
        found = self._bundled.get(avatar)
        return found if found is not None else _avatar(await self._kept(avatar, owner))

    @contextmanager
    def used(self, avatar: str) -> Iterator[None]:
        """While a session or a clip lasts, its avatar is neither dropped nor removed."""
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
        with self.used(avatar):
            await self._prepare(avatar)
            opened = self._opened.get(key)
            if opened is None:
                opened = await self._scheduler.run_on_device(self._engine.open, avatar, preset)
        self._opened[key] = opened
        self._opened.move_to_end(key)
        while len(self._opened) > self._settings.max_prepared_streams:
            self._opened.popitem(last=False)
        return opened

    async def begin(self, avatar: str, preset: str, seed: int) -> Stream:
        """A stream with noise of its own. Raises EngineError."""
        with self.used(avatar):
            await self._prepare(avatar)
            return await self._scheduler.run_on_device(self._engine.begin, avatar, preset, seed)

    async def preview(self, avatar: str, owner: str | None) -> bytes:
        """The framed portrait, a JPEG. Raises UnknownAvatarError."""
        if avatar in self._bundled:
            if avatar not in self._previews:
                self._previews[avatar] = await self._look(avatar)
            return self._previews[avatar]
        await self._kept(avatar, owner)
        path = self._storage.files.preview(avatar)
        try:
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            with self.used(avatar):
                await self._prepare(avatar)
                picture = await self._look(avatar)
            await self._storage.run(write, picture, path, self._storage.files.temporary())
            return picture

    async def add(
        self,
        file: Path,
        owner: str | None,
        name: str | None = None,
        crop: Crop | None = None,
        listed: bool = True,
    ) -> tuple[Avatar, bool]:
        """The avatar of a picture file, which is moved away, and whether it is new: the same bytes and crop of the same owner give
        the same avatar, under its first name. listed: shown to all who see what its owner has. Raises PortraitError,
        StorageFullError.
        """
        async with self._preparing:
            data = await asyncio.to_thread(file.read_bytes)
            avatar = (await asyncio.to_thread(_digest, data, crop, owner))[:_ID_DIGITS]
            title = name or f"Portrait {avatar[:4]}"
            kept = await self._storage.transact(find_avatar, avatar)
            if kept is not None:
                if listed and not kept.listed:
                    await self._storage.transact(list_it, avatar, title)
                return _avatar(await self._kept(avatar, owner)), listed and not kept.listed
            notes = await self._register(avatar, data, crop)
            preview = await self._look(avatar)
            added = KeptAvatar(avatar, title, tuple(notes), crop, listed, time.time(), len(data), owner=owner)
            return _avatar(await self._storage.run(self._keep, added, file, preview)), True

    async def remove(self, avatar: str, owner: str | None) -> None:
        """Raises UnknownAvatarError, BundledAvatarError, AvatarInUseError."""
        if avatar in self._bundled:
            raise BundledAvatarError(f"avatar {avatar!r} came with the server and cannot be removed")
        await self._kept(avatar, owner)
        if avatar in self._users or await self._storage.transact(wanted, avatar):
            raise AvatarInUseError(f"avatar {avatar!r} is used by a session or a clip; remove it afterwards")
        await self._storage.transact(remove_avatar, avatar)
        await self._drop([avatar])

    async def sweep(self) -> None:
        """Drop the portraits of clips that are gone."""
        async with self._preparing:  # what has just been added is used before this lock is free
            await self._drop(await self._storage.transact(remove_unneeded, frozenset(self._users)))

    async def _drop(self, avatars: Sequence[str]) -> None:
        for avatar in avatars:
            if avatar in self._registered:
                del self._registered[avatar]
                await self._forget(avatar)
            await self._storage.run(remove, self._storage.files.picture(avatar))
            await self._storage.run(remove, self._storage.files.preview(avatar))

    def _keep(self, avatar: KeptAvatar, file: Path, preview: bytes) -> KeptAvatar:
        """Files first: a row promises that they are there."""
        files = self._storage.files
        write(preview, files.preview(avatar.id), files.temporary())
        move(file, files.picture(avatar.id))
        return self._storage.transact_here(add_avatar, avatar)

    async def _kept(self, avatar: str, owner: str | None) -> KeptAvatar:
        """Others' avatars are as unknown as those that nobody brought."""
        kept = await self._storage.transact(find_avatar, avatar)
        if kept is None or owner not in (None, kept.owner):
            raise UnknownAvatarError(
                f"there is no avatar {avatar!r}; GET /v1/avatars lists those that are there"
            )
        return kept

    async def _prepare(self, avatar: str) -> None:
        """See to it that the engine knows it."""
        if avatar in self._bundled:
            return
        if avatar not in self._registered:
            async with self._preparing:
                if avatar not in self._registered:
                    kept = await self._kept(avatar, None)
                    data = await asyncio.to_thread(self._storage.files.picture(avatar).read_bytes)
                    await self._register(avatar, data, kept.crop)
        self._registered.move_to_end(avatar)

    async def _register(self, avatar: str, data: bytes, crop: Crop | None) -> Sequence[str]:
        picture = await asyncio.to_thread(self._engine.read_picture, data)
        notes = await self._scheduler.run_on_device(self._engine.register, avatar, cropped(picture, crop))
        self._registered[avatar] = None
        idle = [each for each in list(self._registered)[:-1] if each not in self._users]
        for each in idle[: max(0, len(self._registered) - self._settings.max_loaded)]:
            del self._registered[each]
            await self._forget(each)
        return notes

    async def _forget(self, avatar: str) -> None:
        for key in [key for key in self._opened if key[0] == avatar]:
            del self._opened[key]
        await self._scheduler.run_on_device(self._engine.forget, avatar)

    async def _look(self, avatar: str) -> bytes:
        picture = await self._scheduler.run_on_device(self._engine.preview, avatar)
        return await asyncio.to_thread(jpeg, picture)


def cropped(picture: Picture, crop: Crop | None) -> Picture:
    """At least one pixel of it."""
    if crop is None:
        return picture
    height, width, _ = picture.shape
    left, top = (
        min(int(share * side), side - 1) for share, side in zip(crop[:2], (width, height), strict=True)
    )
    across, down = (
        max(1, round(share * side)) for share, side in zip(crop[2:], (width, height), strict=True)
    )
    return picture[top : top + down, left : left + across]


def _digest(data: bytes, crop: Crop | None, owner: str | None) -> str:
    hashed = hashlib.sha256(data)
    for each in (crop, owner):
        if each is not None:
            hashed.update(repr(each).encode())
    return hashed.hexdigest()


def _avatar(kept: KeptAvatar) -> Avatar:
    return Avatar(kept.id, kept.name, False, kept.notes, kept.number)
