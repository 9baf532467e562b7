"""Acceptance of a new clip: limits are checked, the recording is stored, and the row is written."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from ..auth.api_keys import ApiKey
from ..avatars.table import find_avatar
from ..engines.base import UnknownAvatarError
from ..errors import BusyError, TooManyClipsError
from ..storage.data_directory import move, remove, sync
from ..storage.storage import Storage
from .idempotency import IdempotencyKey, add_idempotency_key, find_accepted_clip
from .state import Clip, ClipSpec
from .table import add_clip, count_queued, count_unfinished

_ID_BYTES = 12


@dataclass(frozen=True)
class ClipRequest:
    """A checked request for a clip.

    Attributes:
        spec: What to render.
        audio: Path of the received recording, which is moved away.
        bundled_avatar: Whether the avatar came with the engine.
        key: API key of the caller.
        idempotency_key: Idempotency key of the request.
    """

    spec: ClipSpec
    audio: Path
    bundled_avatar: bool
    key: ApiKey | None = None
    idempotency_key: IdempotencyKey | None = None


@dataclass(frozen=True)
class QueueLimits:
    """Limits of the queue.

    Attributes:
        max_queued: Most queued clips.
        retry_after_seconds: Seconds after which a refused client may try again.
    """

    max_queued: int
    retry_after_seconds: float


def accept_clip(storage: Storage, request: ClipRequest, limits: QueueLimits) -> tuple[Clip, bool]:
    """Accept a clip, in the storage thread.

    The file is stored before the row, which promises that it exists. A file without a row is removed at the next start.

    Returns:
        The clip, and whether it is new.
    """
    key = request.idempotency_key
    accepted = None if key is None else storage.transact_in_thread(find_accepted_clip, key)
    if accepted is not None:
        return accepted, False
    storage.transact_in_thread(_check_limits, request, limits)
    clip_id = f"clip_{secrets.token_hex(_ID_BYTES)}"
    files = storage.files
    try:
        files.clip(clip_id).mkdir(mode=0o700)
        move(request.audio, files.audio(clip_id))
        sync(files.clips)
        return storage.transact_in_thread(_insert_clip, clip_id, request), True
    except BaseException:
        remove(files.clip(clip_id))
        raise


def _check_limits(connection: Connection, request: ClipRequest, limits: QueueLimits) -> None:
    key = request.key
    max_unfinished = None if key is None else key.limits.clips
    if (
        key is not None
        and max_unfinished is not None
        and count_unfinished(connection, key.id) >= max_unfinished
    ):
        raise TooManyClipsError(
            f"all {max_unfinished} clips of the key {key.name!r} are queued or running",
            limits.retry_after_seconds,
        )
    if count_queued(connection) >= limits.max_queued:
        raise BusyError(f"{limits.max_queued} clips are queued already", limits.retry_after_seconds)
    avatar = request.spec.avatar
    if not request.bundled_avatar and find_avatar(connection, avatar) is None:
        raise UnknownAvatarError(f"there is no avatar {avatar!r}; GET /v1/avatars lists those that are there")


def _insert_clip(connection: Connection, clip_id: str, request: ClipRequest) -> Clip:
    now = time.time()
    if request.idempotency_key is not None:
        add_idempotency_key(connection, request.idempotency_key, clip_id, now)
    owner = None if request.key is None else request.key.id
    return add_clip(connection, clip_id, request.spec, now, owner)
