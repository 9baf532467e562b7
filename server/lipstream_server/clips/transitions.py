"""Transitions of a clip's state. Every change of a state is a function of this module.

    queued ──start_next──> running ──succeed──> succeeded
      ^                      │ │
      └───────requeue────────┘ └──fail──> failed        (queued clips may fail, too)
    queued, running ──cancel──> cancelled

Each function is one transaction: it reads the clip, checks the transition, and writes the new state together with
the message to the outbox that a final state causes. A clip that cannot make the transition stays as it is. The
functions run in the storage thread, called with `Storage.transact`; `now` is seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from sqlalchemy import Connection

from .outbox import Outbox
from .state import (
    Clip,
    Failure,
    State,
    Video,
)
from .table import (
    find_clip,
    next_queued_clip,
    remove_clip,
    save_clip,
)

ALLOWED: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.QUEUED: frozenset({State.RUNNING, State.FAILED, State.CANCELLED}),
        # Back to the queue where the server was stopped or the disk was full: no accepted clip is lost.
        State.RUNNING: frozenset({State.QUEUED, State.SUCCEEDED, State.FAILED, State.CANCELLED}),
        State.SUCCEEDED: frozenset(),
        State.FAILED: frozenset(),
        State.CANCELLED: frozenset(),
    }
)
"""The states that may follow each state."""


def start_next(connection: Connection, now: float) -> Clip | None:
    """Set the oldest queued clip running and return it; None where the queue is empty."""
    clip = next_queued_clip(connection)
    if clip is None:
        return None
    running = replace(clip, state=State.RUNNING, started=now)
    save_clip(connection, running)
    return running


def requeue(connection: Connection, clip_id: str) -> Clip | None:
    """Put a running clip back into the queue; it is rendered again from its start.

    Returns:
        The clip afterwards, unchanged where it is not running; None where it was removed. So do the functions below.
    """
    clip = find_clip(connection, clip_id)
    if clip is None or State.QUEUED not in ALLOWED[clip.state]:
        return clip
    queued = replace(clip, state=State.QUEUED, started=None)
    save_clip(connection, queued)
    return queued


def succeed(connection: Connection, outbox: Outbox, clip_id: str, video: Video, now: float) -> Clip | None:
    """End a running clip with its finished video."""
    clip = find_clip(connection, clip_id)
    if clip is None or State.SUCCEEDED not in ALLOWED[clip.state]:
        return clip
    return _save_ended(connection, outbox, replace(clip, state=State.SUCCEEDED, video=video, ended=now))


def fail(connection: Connection, outbox: Outbox, clip_id: str, failure: Failure, now: float) -> Clip | None:
    """End a queued or running clip with a failure."""
    clip = find_clip(connection, clip_id)
    if clip is None or State.FAILED not in ALLOWED[clip.state]:
        return clip
    return _save_ended(connection, outbox, replace(clip, state=State.FAILED, failure=failure, ended=now))


def cancel(connection: Connection, outbox: Outbox, clip_id: str, now: float) -> Clip | None:
    """End a queued or running clip without a video, as its owner wants it."""
    clip = find_clip(connection, clip_id)
    if clip is None or State.CANCELLED not in ALLOWED[clip.state]:
        return clip
    return _save_ended(connection, outbox, replace(clip, state=State.CANCELLED, ended=now))


def fail_incomplete(connection: Connection, outbox: Outbox, clip: Clip, missing: str, now: float) -> Clip:
    """Fail a clip of which a file is missing when the server starts: the one way out of `succeeded`."""
    detail = f"expected the file {missing} of this clip, but it is gone; post it again"
    failed = replace(clip, state=State.FAILED, video=None, failure=Failure("file_missing", detail), ended=now)
    if not clip.state.is_final:
        return _save_ended(connection, outbox, failed)
    save_clip(connection, failed)  # its end was reported before
    return failed


def delete(connection: Connection, outbox: Outbox, clip_id: str) -> None:
    """Remove a clip in any state, as its owner wants it: nothing about it is sent any more."""
    remove_clip(connection, clip_id)
    outbox.remove(connection, clip_id)


def _save_ended(connection: Connection, outbox: Outbox, clip: Clip) -> Clip:
    """Write a final state and, for a clip with a webhook, its message."""
    save_clip(connection, clip)
    if clip.spec.webhook_url is None:
        return clip
    return replace(clip, delivery=outbox.add(connection, clip))
