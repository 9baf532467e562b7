"""The avatars of a server: bundled ones, and ones that clients added, whose images are stored by their content.

What the engine derives from a portrait stays in memory while there is room, and is derived again when it is needed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ..config.settings import AvatarSettings
from ..engines.base import (
    AvatarInUseError,
    BundledAvatarError,
    OpenedStream,
    Stream,
    UnknownAvatarError,
)
from ..engines.interface import SupervisedEngine
from ..scheduling.scheduler import Scheduler
from ..storage.data_directory import move, remove, write_atomically
from ..storage.storage import Storage
from .engine_cache import EngineCache
from .image import avatar_id
from .table import (
    Crop,
    StoredAvatar,
    add_avatar,
    find_avatar,
    has_unfinished_clips,
    list_avatar,
    page_of_avatars,
    remove_avatar,
    remove_unused_avatars,
)


@dataclass(frozen=True)
class Avatar:
    """A portrait that clients can name.

    Attributes:
        id: Id in requests.
        name: Name for people.
        bundled: Whether it came with the engine.
        notes: What whoever added the image should know of it.
        number: Rises in the order of the list.
    """

    id: str
    name: str
    bundled: bool
    notes: tuple[str, ...] = ()
    number: int = 0


class AvatarRegistry:
    """All avatars of a server.

    In all methods, `owner` is the id of the key that asks, which sees its own and the bundled avatars; None sees all.

    Args:
        engine: SupervisedEngine that portraits are registered with.
        scheduler: Owner of the device.
        storage: Open for as long as the registry is used.
        settings: Settings of avatars.
    """

    def __init__(
        self, engine: SupervisedEngine, scheduler: Scheduler, storage: Storage, settings: AvatarSettings
    ) -> None:
        self._storage = storage
        self._cache = EngineCache(engine, scheduler, settings)
        self._bundled = {
            name: Avatar(name, name.capitalize(), True, number=index - len(engine.avatars))
            for index, name in enumerate(engine.avatars)
        }
        self._bundled_previews: dict[str, bytes] = {}
        self._preparing = asyncio.Lock()  # one at a time: a decoded image is large

    async def page(self, after: int | None, limit: int, owner: str | None) -> Sequence[Avatar]:
        """Return avatars with numbers above `after`: the default, the other bundled ones, then added ones by age."""
        start = -len(self._bundled) - 1 if after is None else after
        bundled = [avatar for avatar in self._bundled.values() if avatar.number > start][:limit]
        room = limit - len(bundled)
        stored = await self._storage.transact(page_of_avatars, max(0, start), room, owner) if room else []
        return [*bundled, *map(_avatar_of, stored)]

    async def get(self, avatar: str, owner: str | None) -> Avatar:
        """Return an avatar.

        Raises:
            UnknownAvatarError: There is no such avatar.
        """
        bundled = self._bundled.get(avatar)
        return bundled if bundled is not None else _avatar_of(await self._find_stored(avatar, owner))

    def in_use(self, avatar: str) -> AbstractContextManager[None]:
        """Return a context that keeps an avatar from being evicted or removed."""
        return self._cache.in_use(avatar)

    async def open(self, avatar: str, preset: str) -> OpenedStream:
        """Return a stream at its beginning.

        Raises:
            EngineError: The engine does not know the avatar or the preset.
        """
        with self.in_use(avatar):
            await self._ensure_registered(avatar)
            return await self._cache.open(avatar, preset)

    async def open_seeded(self, avatar: str, preset: str, seed: int) -> Stream:
        """Return a stream at its beginning with noise of its own.

        Raises:
            EngineError: The engine does not know the avatar or the preset.
        """
        with self.in_use(avatar):
            await self._ensure_registered(avatar)
            return await self._cache.open_seeded(avatar, preset, seed)

    async def preview(self, avatar: str, owner: str | None) -> bytes:
        """Return the framed portrait as a JPEG.

        Raises:
            UnknownAvatarError: There is no such avatar.
        """
        if avatar in self._bundled:
            if avatar not in self._bundled_previews:
                self._bundled_previews[avatar] = await self._cache.render_preview(avatar)
            return self._bundled_previews[avatar]
        await self._find_stored(avatar, owner)
        path = self._storage.files.preview(avatar)
        try:
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            with self.in_use(avatar):
                await self._ensure_registered(avatar)
                preview = await self._cache.render_preview(avatar)
            await self._storage.run(write_atomically, preview, path, self._storage.files.temporary())
            return preview

    async def add(
        self,
        file: Path,
        owner: str | None,
        name: str | None = None,
        crop: Crop | None = None,
        listed: bool = True,
    ) -> tuple[Avatar, bool]:
        """Add an avatar from an image file, which is moved away.

        The same bytes and crop of the same owner give the same avatar, under its first name.

        Args:
            file: Image file.
            owner: Id of the key that adds it.
            name: Name for people; made up without one.
            crop: Part of the image that is used.
            listed: Whether the list shows it.

        Returns:
            The avatar, and whether it is new.

        Raises:
            PortraitError: The image cannot become an avatar.
            StorageFullError: The disk is full.
        """
        async with self._preparing:
            data = await asyncio.to_thread(file.read_bytes)
            avatar = await asyncio.to_thread(avatar_id, data, crop, owner)
            title = name or f"Portrait {avatar[:4]}"
            stored = await self._storage.transact(find_avatar, avatar)
            if stored is not None:
                becomes_listed = listed and not stored.listed
                if becomes_listed:
                    await self._storage.transact(list_avatar, avatar, title)
                return _avatar_of(await self._find_stored(avatar, owner)), becomes_listed
            notes = await self._cache.register(avatar, data, crop)
            preview = await self._cache.render_preview(avatar)
            added = StoredAvatar(
                avatar, title, tuple(notes), crop, listed, time.time(), len(data), owner=owner
            )
            return _avatar_of(await self._storage.run(self._store, added, file, preview)), True

    async def remove(self, avatar: str, owner: str | None) -> None:
        """Remove an avatar that a client added.

        Raises:
            UnknownAvatarError: There is no such avatar.
            BundledAvatarError: It came with the engine.
            AvatarInUseError: A session or an unfinished clip uses it.
        """
        if avatar in self._bundled:
            raise BundledAvatarError(f"avatar {avatar!r} came with the server and cannot be removed")
        await self._find_stored(avatar, owner)
        if avatar in self._cache.avatars_in_use or await self._storage.transact(has_unfinished_clips, avatar):
            raise AvatarInUseError(f"avatar {avatar!r} is used by a session or a clip; remove it afterwards")
        await self._storage.transact(remove_avatar, avatar)
        await self._remove_files([avatar])

    async def remove_unused(self) -> None:
        """Remove the portraits of clips that are gone."""
        async with self._preparing:  # an avatar that has just been added is in use before this lock is free
            await self._remove_files(
                await self._storage.transact(remove_unused_avatars, self._cache.avatars_in_use)
            )

    async def _remove_files(self, avatars: Sequence[str]) -> None:
        for avatar in avatars:
            await self._cache.unregister(avatar)
            await self._storage.run(remove, self._storage.files.portrait(avatar))
            await self._storage.run(remove, self._storage.files.preview(avatar))

    def _store(self, avatar: StoredAvatar, file: Path, preview: bytes) -> StoredAvatar:
        """Store the files, then the row, which promises that they exist."""
        files = self._storage.files
        write_atomically(preview, files.preview(avatar.id), files.temporary())
        move(file, files.portrait(avatar.id))
        return self._storage.transact_in_thread(add_avatar, avatar)

    async def _find_stored(self, avatar: str, owner: str | None) -> StoredAvatar:
        """Return an added avatar. The avatars of another key are as unknown as those that do not exist."""
        stored = await self._storage.transact(find_avatar, avatar)
        if stored is None or owner not in (None, stored.owner):
            raise UnknownAvatarError(
                f"there is no avatar {avatar!r}; GET /v1/avatars lists those that are there"
            )
        return stored

    async def _ensure_registered(self, avatar: str) -> None:
        if avatar in self._bundled or self._cache.is_registered(avatar):
            return
        async with self._preparing:
            if not self._cache.is_registered(avatar):
                stored = await self._find_stored(avatar, None)
                data = await asyncio.to_thread(self._storage.files.portrait(avatar).read_bytes)
                await self._cache.register(avatar, data, stored.crop)


def _avatar_of(stored: StoredAvatar) -> Avatar:
    return Avatar(stored.id, stored.name, False, stored.notes, stored.number)
