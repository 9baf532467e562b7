"""Retention of finished clips: those that are too old go, then the oldest until the rest fits."""

from __future__ import annotations

import time

from ..config.settings import ClipSettings
from ..storage.data_directory import folder_size, remove
from ..storage.storage import Storage
from .idempotency import purge_idempotency_keys
from .outbox import Outbox
from .state import FINAL_STATES
from .table import clips_in_states, remove_clip


def remove_expired_clips(storage: Storage, settings: ClipSettings, outbox: Outbox) -> None:
    """Remove finished clips that are too old or too much, in the storage thread. Unfinished clips stay."""
    now = time.time()
    storage.transact_in_thread(purge_idempotency_keys, now - settings.idempotency_seconds)
    storage.transact_in_thread(outbox.purge, now - settings.idempotency_seconds)
    oldest_first = list(storage.transact_in_thread(clips_in_states, FINAL_STATES))
    excess = folder_size(storage.files.clips) - settings.max_total_bytes
    for clip in oldest_first:
        if excess > 0 or now - (clip.ended or now) > settings.retention_seconds:
            excess -= folder_size(storage.files.clip(clip.id))
            storage.transact_in_thread(remove_clip, clip.id)
            remove(storage.files.clip(clip.id))
