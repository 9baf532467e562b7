"""What the engine holds of avatars: registered portraits and opened streams, the least recently used evicted first."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager

from ..config.settings import AvatarSettings
from ..engines.base import OpenedStream, Stream
from ..engines.interface import SupervisedEngine
from ..media.live.media_output import encode_jpeg
from ..scheduling.scheduler import Scheduler
from .image import cropped
from .table import Crop


class EngineCache:
    """Portraits registered with the engine, and streams at their beginning.

    Args:
        engine: The engine.
        scheduler: Owner of the device, in whose thread the engine is called.
        settings: Sizes of the caches.
    """

    def __init__(self, engine: SupervisedEngine, scheduler: Scheduler, settings: AvatarSettings) -> None:
        self._engine, self._scheduler, self._settings = engine, scheduler, settings
        self._registered: OrderedDict[str, None] = OrderedDict()  # least recently used first
        self._opened: OrderedDict[tuple[str, str], OpenedStream] = OrderedDict()  # likewise
        self._users: Counter[str] = Counter()

    @property
    def avatars_in_use(self) -> Set[str]:
        """Ids of the avatars that sessions and clips use now."""
        return frozenset(self._users)

    @contextmanager
    def in_use(self, avatar: str) -> Iterator[None]:
        """Keep an avatar from being evicted, while the context lasts."""
        self._users[avatar] += 1
        try:
            yield
        finally:
            self._users[avatar] -= 1
            if not self._users[avatar]:
                del self._users[avatar]

    def is_registered(self, avatar: str) -> bool:
        """Return whether the engine knows a portrait, and count this as a use of it."""
        if avatar not in self._registered:
            return False
        self._registered.move_to_end(avatar)
        return True

    async def register(self, avatar: str, data: bytes, crop: Crop | None) -> Sequence[str]:
        """Register a portrait, and evict the least recently used ones that nobody uses.

        Args:
            avatar: Id of the avatar.
            data: Content of the image file.
            crop: Part of the image that is used.

        Returns:
            Notes about the image for whoever added it.

        Raises:
            PortraitError: The image cannot become an avatar.
        """
        image = await asyncio.to_thread(self._engine.decode_image, data)
        notes = await self._scheduler.run_on_device(self._engine.register, avatar, cropped(image, crop))
        self._registered[avatar] = None
        idle = [each for each in list(self._registered)[:-1] if each not in self._users]
        for each in idle[: max(0, len(self._registered) - self._settings.max_loaded)]:
            await self.unregister(each)
        return notes

    async def unregister(self, avatar: str) -> None:
        """Drop a portrait and its streams from the engine, if they are there."""
        if avatar not in self._registered:
            return
        del self._registered[avatar]
        for key in [key for key in self._opened if key[0] == avatar]:
            del self._opened[key]
        await self._scheduler.run_on_device(self._engine.unregister, avatar)

    async def open(self, avatar: str, preset: str) -> OpenedStream:
        """Return a stream of a registered avatar at its beginning, from the cache where it is there."""
        key = (avatar, preset)
        opened = self._opened.get(key)
        if opened is None:
            opened = await self._scheduler.run_on_device(self._engine.open, avatar, preset)
        self._opened[key] = opened
        self._opened.move_to_end(key)
        while len(self._opened) > self._settings.max_prepared_streams:
            self._opened.popitem(last=False)
        return opened

    async def open_seeded(self, avatar: str, preset: str, seed: int) -> Stream:
        """Return a stream of a registered avatar at its beginning, with noise of its own."""
        return await self._scheduler.run_on_device(self._engine.create_stream, avatar, preset, seed)

    async def render_preview(self, avatar: str) -> bytes:
        """Return the framed portrait of a registered avatar as a JPEG."""
        image = await self._scheduler.run_on_device(self._engine.preview, avatar)
        return await asyncio.to_thread(encode_jpeg, image)
