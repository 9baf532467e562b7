"""Values that describe a clip: what was ordered, its state, its video or failure, and its webhook delivery."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """State of a clip; `transitions` says which one follows which."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether no state follows."""
        return self in FINAL_STATES


FINAL_STATES = (State.SUCCEEDED, State.FAILED, State.CANCELLED)


class DeliveryState(StrEnum):
    """State of the webhook of a clip that has ended."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True)
class ClipSpec:
    """What a client ordered.

    Attributes:
        avatar: Id of the avatar.
        preset: Sampling preset.
        seed: Seed of the noise.
        width: Width of the video in pixels.
        height: Height of the video in pixels.
        container: Container of the video.
        fps: Frames per second.
        frames: Frames of the whole video.
        webhook_url: Address that the webhook is sent to when the clip has ended.
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
    """A finished video file.

    Attributes:
        size: Bytes.
        tag: First half of the SHA-256 in hexadecimal.
    """

    size: int
    tag: str


@dataclass(frozen=True)
class Failure:
    """Why a clip failed.

    Attributes:
        code: Stable code for programs.
        detail: Message for people.
    """

    code: str
    detail: str


@dataclass(frozen=True)
class Delivery:
    """Delivery of a clip's webhook.

    Attributes:
        state: State of the delivery.
        attempts: Attempts so far.
        next_attempt: Seconds since 1970; None where no attempt follows.
    """

    state: DeliveryState
    attempts: int
    next_attempt: float | None


@dataclass(frozen=True)
class Clip:
    """A clip as the database knows it. Times are seconds since 1970.

    Attributes:
        number: Rises with every clip.
        id: Id in requests.
        spec: What was ordered.
        created: When it was accepted.
        state: Current state.
        started: When rendering last started.
        ended: When it came to its final state.
        video: The finished video, once it has succeeded.
        failure: Why it failed, if it did.
        delivery: Delivery of its webhook, once it has ended and if it has one.
    """

    number: int
    id: str
    spec: ClipSpec
    created: float
    state: State = State.QUEUED
    started: float | None = None
    ended: float | None = None
    video: Video | None = None
    failure: Failure | None = None
    delivery: Delivery | None = None
