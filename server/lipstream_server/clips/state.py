"""The life of a clip, without clock, files or database: which state follows which, and what is known in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Nothing follows it."""
        return not _NEXT[self]


_NEXT: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.QUEUED: frozenset({State.RUNNING, State.FAILED, State.CANCELLED}),
        # Back to the queue where the server was stopped or the disk was full: nothing accepted is lost.
        State.RUNNING: frozenset({State.QUEUED, State.SUCCEEDED, State.FAILED, State.CANCELLED}),
        State.SUCCEEDED: frozenset(),
        State.FAILED: frozenset(),
        State.CANCELLED: frozenset(),
    }
)


class DeliveryState(StrEnum):
    """Of the webhook of a clip that has ended."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


class TransitionError(ValueError):
    """A clip cannot go from its state to that one."""


@dataclass(frozen=True)
class Order:
    """What was asked for. avatar: its id. width, height: of the video in pixels. frames: of the whole video. webhook_url: whom to
    tell when it has ended.
    """

    avatar: str
    preset: str
    seed: int
    width: int
    height: int
    container: str
    fps: int
    frames: int
    webhook_url: str | None = None


@dataclass(frozen=True)
class Video:
    """A finished file. tag: the beginning of its SHA-256."""

    size: int
    tag: str


@dataclass(frozen=True)
class Failure:
    """code: for programs, it does not change; detail: for people."""

    code: str
    detail: str


@dataclass(frozen=True)
class Delivery:
    """How far a webhook is. attempts: up to now. next_attempt: seconds since 1970; None where there will be none."""

    state: DeliveryState
    attempts: int
    next_attempt: float | None


@dataclass(frozen=True)
class Clip:
    """number: rises with every clip. created, started, ended: seconds since 1970. video: once it has succeeded. delivery: once it
    has ended, if it has a webhook.
    """

    number: int
    id: str
    order: Order
    created: float
    state: State = State.QUEUED
    started: float | None = None
    ended: float | None = None
    video: Video | None = None
    failure: Failure | None = None
    delivery: Delivery | None = None


def begin(clip: Clip, now: float) -> Clip:
    return replace(_to(clip, State.RUNNING), started=now)


def requeue(clip: Clip) -> Clip:
    """What was made of it is made again."""
    return replace(_to(clip, State.QUEUED), started=None)


def succeed(clip: Clip, video: Video, now: float) -> Clip:
    return replace(_to(clip, State.SUCCEEDED), video=video, ended=now)


def fail(clip: Clip, failure: Failure, now: float) -> Clip:
    return replace(_to(clip, State.FAILED), failure=failure, ended=now)


def cancel(clip: Clip, now: float) -> Clip:
    return replace(_to(clip, State.CANCELLED), ended=now)


def lose(clip: Clip, missing: str, now: float) -> Clip:
    """Somebody took a file away that the clip needs: the one way out of `succeeded`, found when the server starts."""
    failure = Failure(
        "file_missing", f"expected the file {missing} of this clip, but it is gone; post it again"
    )
    return replace(clip, state=State.FAILED, video=None, failure=failure, ended=now)


def _to(clip: Clip, state: State) -> Clip:
    if state not in _NEXT[clip.state]:
        raise TransitionError(f"clip {clip.id} is {clip.state}, which cannot become {state}")
    return replace(clip, state=state)
