"""The keys of a running server, in memory: checking one costs no look at the disk, and one that was removed is soon gone."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Mapping

from ..config.settings import AccessSettings
from ..storage.storage import Storage
from .api_keys import ApiKey, digest
from .key_table import all_api_keys

log = logging.getLogger(__name__)
SETTINGS_KEY = ApiKey("settings", "settings")
"""Whose key stands in the settings."""
_MOST_LETTERS = 512
_MISS_SECONDS = 0.25  # between two reads; however many unknown keys come, they wait for the same one


class KeyRing:
    """storage: open while this is used."""

    def __init__(self, storage: Storage, settings: AccessSettings) -> None:
        self._storage, self._settings = storage, settings
        self._by_digest: Mapping[str, tuple[str, ApiKey]] = {}
        self._by_id: Mapping[str, ApiKey] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, key: str) -> ApiKey | None:
        """The key of this text. One that was added a moment ago is found; wrong ones wait a moment for that."""
        if len(key) > _MOST_LETTERS:
            return None
        wanted = digest(key)
        found = self._find(wanted)
        if found is None:
            await self._read()
            found = self._find(wanted)
        return found

    def named(self, id: str) -> ApiKey | None:
        """The key with this id, if it is there still."""
        return self._by_id.get(id)

    async def keep_fresh(self) -> None:
        """Read again and again, until it is cancelled."""
        while True:
            try:
                await self._read()
            except Exception:
                log.exception("the keys cannot be read; those known before stay valid")
            await asyncio.sleep(self._settings.key_cache_ttl_seconds)

    def _find(self, wanted: str) -> ApiKey | None:
        """In a time that tells nothing: a dict compares random hashes of digests, and only what agrees is compared as text."""
        found = self._by_digest.get(wanted)
        return found[1] if found is not None and hmac.compare_digest(found[0], wanted) else None

    async def _read(self) -> None:
        """All that was there when this was called is known when it returns."""
        asked = time.monotonic()
        async with self._reading:
            if self._read_at > asked:
                return
            await asyncio.sleep(self._read_at + _MISS_SECONDS - time.monotonic())
            begun = time.monotonic()
            keys = dict(await self._storage.transact(all_api_keys))
            if self._settings.key is not None:
                keys[digest(self._settings.key.get_secret_value())] = SETTINGS_KEY
            self._by_digest = {known: (known, key) for known, key in keys.items()}
            self._by_id = {key.id: key for key in keys.values()}
            self._read_at = begun
