"""Errors of requests about clips."""

from __future__ import annotations

from http import HTTPStatus

from ..errors import StatusError


class UnknownClipError(StatusError):
    """No clip has the requested id, or it belongs to another key."""

    status, code = HTTPStatus.NOT_FOUND, "unknown_clip"

    def __init__(self, clip_id: str) -> None:
        super().__init__(f"there is no clip {clip_id!r}; GET /v1/clips lists those that are there")


class ClipFinishedError(StatusError):
    """A finished clip cannot be cancelled."""

    status, code = HTTPStatus.CONFLICT, "clip_finished"


class IdempotencyKeyReusedError(StatusError):
    """An idempotency key came with another request than before."""

    status, code = HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency_key_reused"


class ClipRemovedError(StatusError):
    """The clip of an idempotency key was removed."""

    status, code = HTTPStatus.GONE, "clip_removed"
