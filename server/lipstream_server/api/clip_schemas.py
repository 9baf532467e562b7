"""Schemas of `/v1/clips`, with a description and an example of every field for the OpenAPI document."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from ..clips.service import ClipReport
from ..clips.state import Clip, State
from ..media.file.formats import FORMATS, FileContainer
from ..webhooks.target import MAX_URL_CHARACTERS
from .avatar_schemas import Text

CLIPS = "/v1/clips"
_EXAMPLE_TIME = "2026-11-24T12:00:00Z"
_EXAMPLE_ID = "clip_5f2b8c0d9e1a4b7c6d3e2f10"


class ErrorAnswer(BaseModel):
    """Why a clip failed."""

    code: str = Field(description="Stable code for programs.", examples=["recording_damaged"])
    detail: str = Field(
        description="Message for people.", examples=["the recording cannot be read to its end"]
    )


class WebhookAnswer(BaseModel):
    """Delivery of a clip's webhook."""

    host: str = Field(
        description="Host of the address; the rest of it may be a secret.", examples=["example.com"]
    )
    state: Literal["waiting", "pending", "delivered", "given_up"] = Field(
        description="`waiting` until the clip has ended, then `pending` until it is delivered or given up.",
        examples=["pending"],
    )
    attempts: int = Field(description="Attempts so far.", examples=[1])
    next_attempt_at: datetime | None = Field(
        description="Earliest time of the next attempt; null where none follows.", examples=[_EXAMPLE_TIME]
    )

    @classmethod
    def from_clip(cls, clip: Clip) -> WebhookAnswer | None:
        """Return the delivery of a clip's webhook; None for a clip without one."""
        if clip.spec.webhook_url is None:
            return None
        host, delivery = urlsplit(clip.spec.webhook_url).hostname or "", clip.delivery
        if delivery is None:
            return cls(host=host, state="waiting", attempts=0, next_attempt_at=None)
        return cls(
            host=host,
            state=delivery.state.value,
            attempts=delivery.attempts,
            next_attempt_at=_optional_time(delivery.next_attempt),
        )


class ClipAnswer(BaseModel):
    """A clip: a video rendered in the background."""

    id: str = Field(description="Id in requests.", examples=[_EXAMPLE_ID])
    state: State = Field(description="State; `queued` and `running` are not final.", examples=["running"])
    avatar: str = Field(description="Id of the avatar.", examples=["amara"])
    preset: str = Field(description="Sampling preset.", examples=["realtime"])
    seed: int = Field(description="Seed of the noise; the same seed gives the same frames.", examples=[0])
    width: int = Field(description="Width of the video in pixels.", examples=[256])
    height: int = Field(description="Height of the video in pixels.", examples=[256])
    container: FileContainer = Field(description="Container of the video.", examples=["mp4"])
    frames_done: int = Field(description="Frames in the video so far.", examples=[96])
    frames_total: int = Field(description="Frames of the whole video.", examples=[340])
    seconds: float = Field(description="Duration of the whole video in seconds.", examples=[13.6])
    seconds_left: float | None = Field(
        description="Estimated seconds until the video is finished; null unless it is running.",
        examples=[8.2],
    )
    bytes: int | None = Field(
        description="Size of the finished video in bytes; null before.", examples=[None]
    )
    error: ErrorAnswer | None = Field(description="Why it failed; null unless it did.", examples=[None])
    webhook: WebhookAnswer | None = Field(
        description="Delivery of its webhook; null where it has none.", examples=[None]
    )
    created: datetime = Field(description="When it was accepted.", examples=[_EXAMPLE_TIME])
    started: datetime | None = Field(description="When rendering last started.", examples=[_EXAMPLE_TIME])
    ended: datetime | None = Field(description="When it came to its final state.", examples=[None])
    url: str = Field(description="Path of this answer.", examples=[f"{CLIPS}/{_EXAMPLE_ID}"])
    events: str = Field(
        description="Path of its progress as server-sent events.",
        examples=[f"{CLIPS}/{_EXAMPLE_ID}/events"],
    )
    video: str = Field(description="Path of the video.", examples=[f"{CLIPS}/{_EXAMPLE_ID}/video"])

    @classmethod
    def from_report(cls, report: ClipReport) -> ClipAnswer:
        """Return the answer that describes a clip and its progress."""
        clip, spec, failure = report.clip, report.clip.spec, report.clip.failure
        return cls(
            id=clip.id,
            state=clip.state,
            avatar=spec.avatar,
            preset=spec.preset,
            seed=spec.seed,
            width=spec.width,
            height=spec.height,
            container=FORMATS[spec.container].name,
            frames_done=report.frames_done,
            frames_total=spec.frames,
            seconds=spec.frames / spec.fps,
            seconds_left=report.seconds_left,
            bytes=None if clip.video is None else clip.video.size,
            error=None if failure is None else ErrorAnswer(code=failure.code, detail=failure.detail),
            webhook=WebhookAnswer.from_clip(clip),
            created=_time(clip.created),
            started=_optional_time(clip.started),
            ended=_optional_time(clip.ended),
            url=f"{CLIPS}/{clip.id}",
            events=f"{CLIPS}/{clip.id}/events",
            video=f"{CLIPS}/{clip.id}/video",
        )


class ClipList(BaseModel):
    """A page of clips, the newest first."""

    clips: list[ClipAnswer] = Field(
        description="Clips in the order in which they were accepted, the newest first."
    )
    next: str | None = Field(
        description="Value of `cursor` for the next page; null on the last page.", examples=["41"]
    )


class ClipForm(BaseModel):
    """Text fields that come with a recording."""

    model_config = ConfigDict(extra="forbid")

    avatar: Annotated[str, Text] | None = Field(
        None,
        description="Id of an avatar; the server's default without it and without `portrait`.",
        examples=["amara"],
    )
    preset: Annotated[str, Text] | None = Field(
        None, description="Sampling preset; the server's default without it.", examples=["realtime"]
    )
    seed: int = Field(
        0,
        ge=0,
        le=2**31 - 1,
        description="Seed of the noise; the same seed gives the same frames.",
        examples=[0],
    )
    size: int | None = Field(
        None,
        ge=64,
        le=1024,
        multiple_of=2,
        description="Longer side of the video in pixels; the model's own size without it.",
        examples=[256],
    )
    container: FileContainer = Field(
        "mp4",
        description="Container of the video: mp4 (H.264 and AAC) or webm (VP9 and Opus).",
        examples=["mp4"],
    )
    webhook_url: str | None = Field(
        None,
        max_length=MAX_URL_CHARACTERS,
        description="An https address, without a name and a password, to which a `WebhookMessage` is posted when the clip "
        "has come to any final state. Servers that send no webhooks refuse it.",
        examples=["https://example.com/hooks/lipstream"],
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _optional_time(seconds: float | None) -> datetime | None:
    return None if seconds is None else _time(seconds)
