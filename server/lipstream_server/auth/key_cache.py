"""API keys in memory: a check needs no disk access, and a removed key stops working soon."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Mapping

from ..config.settings import AccessSettings
from ..storage.storage import Storage
from .api_keys import ApiKey, key_digest
from .key_table import all_api_keys

log = logging.getLogger(__name__)
SETTINGS_KEY = ApiKey("settings", "settings")
"""The key that `access.key` of the settings defines."""
_MAX_KEY_CHARACTERS = 512
_MIN_READ_INTERVAL = 0.25  # seconds; however many unknown keys come, they wait for the same read


class KeyCache:
    """Cache of the API keys in the database and in the settings.

    Args:
        storage: Open for as long as the cache is used.
        settings: Access settings.
    """

    def __init__(self, storage: Storage, settings: AccessSettings) -> None:
        self._storage, self._settings = storage, settings
        self._by_digest: Mapping[str, tuple[str, ApiKey]] = {}
        self._by_id: Mapping[str, ApiKey] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, key: str) -> ApiKey | None:
        """Return the API key of this secret. An unknown one is looked up in the database, at a limited rate."""
        if len(key) > _MAX_KEY_CHARACTERS:
            return None
        digest = key_digest(key)
        cached = self._find_cached(digest)
        if cached is None:
            await self._read()
            cached = self._find_cached(digest)
        return cached

    def by_id(self, key_id: str) -> ApiKey | None:
        """Return the API key with this id, if it still exists."""
        return self._by_id.get(key_id)

    async def refresh_forever(self) -> None:
        """Read the keys again and again, until cancelled."""
        while True:
            try:
                await self._read()
            except Exception:
                log.exception("the API keys cannot be read; those known before stay valid")
            await asyncio.sleep(self._settings.key_cache_ttl_seconds)

    def _find_cached(self, digest: str) -> ApiKey | None:
        """Find a key in constant time: the dict compares hashes of digests, and only a match is compared as text."""
        entry = self._by_digest.get(digest)
        return entry[1] if entry is not None and hmac.compare_digest(entry[0], digest) else None

    async def _read(self) -> None:
        """Read the keys; every key that existed at the call is known at the return."""
        called_at = time.monotonic()
        async with self._reading:
            if self._read_at > called_at:
                return
            await asyncio.sleep(self._read_at + _MIN_READ_INTERVAL - time.monotonic())
            read_at = time.monotonic()
            keys = dict(await self._storage.transact(all_api_keys))
            if self._settings.key is not None:
                keys[key_digest(self._settings.key.get_secret_value())] = SETTINGS_KEY
            self._by_digest = {digest: (digest, key) for digest, key in keys.items()}
            self._by_id = {key.id: key for key in keys.values()}
            self._read_at = read_at
