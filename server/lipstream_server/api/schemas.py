"""What the REST interface says and takes, with a description and an example of everything: the served OpenAPI document is made
of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ..avatars.avatars import Avatar
from ..avatars.table import Crop
from ..clips.service import Report
from ..clips.state import Clip, State
from ..media.file.formats import FORMATS, FileContainer
from ..webhooks.target import MOST_CHARACTERS

AVATARS = "/v1/avatars"
CLIPS = "/v1/clips"
_WHEN = "2026-11-24T12:00:00Z"
_CLIP = "clip_5f2b8c0d9e1a4b7c6d3e2f10"

Text = StringConstraints(min_length=1, max_length=80)


class AvatarAnswer(BaseModel):
    """A face that can speak."""

    id: str = Field(description="What names it in requests.", examples=["amara"])
    name: str = Field(description="What people call it.", examples=["Amara"])
    preview: str = Field(
        description="Where its picture is, as the model sees it.", examples=["/v1/avatars/amara/preview"]
    )
    bundled: bool = Field(
        description="Whether it came with the server and cannot be removed.", examples=[True]
    )
    notes: list[str] = Field(
        description="What whoever brought the picture should know of it, in English.",
        examples=[["the picture shows 2 faces; the largest one is used"]],
    )

    @classmethod
    def of(cls, avatar: Avatar) -> AvatarAnswer:
        return cls(
            id=avatar.id,
            name=avatar.name,
            preview=f"{AVATARS}/{avatar.id}/preview",
            bundled=avatar.bundled,
            notes=list(avatar.notes),
        )


class AvatarList(BaseModel):
    """A page of avatars, the server's default first."""

    avatars: list[AvatarAnswer] = Field(description="In the order in which they came to the server.")
    next: str | None = Field(
        description="Ask with `cursor` set to this for the next page; null on the last.", examples=["7"]
    )


class ErrorAnswer(BaseModel):
    """Why a clip has failed."""

    code: str = Field(description="For programs; it does not change.", examples=["recording_damaged"])
    detail: str = Field(description="For people.", examples=["the recording cannot be read to its end"])


class WebhookAnswer(BaseModel):
    """How far a clip's webhook is."""

    host: str = Field(
        description="Where it goes; the rest of the address may be a secret.", examples=["example.com"]
    )
    state: Literal["waiting", "pending", "delivered", "given_up"] = Field(
        description="`waiting` until the clip has ended, `pending` until somebody took it.",
        examples=["pending"],
    )
    attempts: int = Field(description="To send it, up to now.", examples=[1])
    next_attempt_at: datetime | None = Field(
        description="When it is sent next, at the earliest; null where it is not.", examples=[_WHEN]
    )

    @classmethod
    def of(cls, clip: Clip) -> WebhookAnswer | None:
        """None where it has none."""
        if clip.order.webhook_url is None:
            return None
        host, sent = urlsplit(clip.order.webhook_url).hostname or "", clip.delivery
        if sent is None:
            return cls(host=host, state="waiting", attempts=0, next_attempt_at=None)
        next_attempt = None if sent.next_attempt is None else _time(sent.next_attempt)
        return cls(host=host, state=sent.state.value, attempts=sent.attempts, next_attempt_at=next_attempt)


class ClipAnswer(BaseModel):
    """A video that is to be made, is being made, or was made."""

    id: str = Field(description="What names it in requests.", examples=[_CLIP])
    state: State = Field(description="Only `queued` and `running` change.", examples=["running"])
    avatar: str = Field(description="The id of its face.", examples=["amara"])
    preset: str = Field(description="How it is sampled.", examples=["realtime"])
    seed: int = Field(description="The same seed gives the same frames.", examples=[0])
    width: int = Field(description="Of the video, in pixels.", examples=[256])
    height: int = Field(description="Of the video, in pixels.", examples=[256])
    container: FileContainer = Field(description="The format of the video.", examples=["mp4"])
    frames_done: int = Field(description="Frames that are in the video now.", examples=[96])
    frames_total: int = Field(description="Frames of the whole video.", examples=[340])
    seconds: float = Field(description="Length of the whole video.", examples=[13.6])
    seconds_left: float | None = Field(
        description="Until the video is finished, at the speed up to now; null unless it is running.",
        examples=[8.2],
    )
    bytes: int | None = Field(description="Size of the finished video, else null.", examples=[None])
    error: ErrorAnswer | None = Field(description="Why it has failed, else null.", examples=[None])
    webhook: WebhookAnswer | None = Field(
        description="How far its webhook is, null where it has none.", examples=[None]
    )
    created: datetime = Field(description="When it was posted.", examples=[_WHEN])
    started: datetime | None = Field(description="When its rendering began last.", examples=[_WHEN])
    ended: datetime | None = Field(description="When it came to its last state.", examples=[None])
    url: str = Field(description="Where this answer is.", examples=[f"{CLIPS}/{_CLIP}"])
    events: str = Field(
        description="Where it is told, as server-sent events, how far it is.",
        examples=[f"{CLIPS}/{_CLIP}/events"],
    )
    video: str = Field(description="Where the video is.", examples=[f"{CLIPS}/{_CLIP}/video"])

    @classmethod
    def of(cls, report: Report) -> ClipAnswer:
        clip, order = report.clip, report.clip.order
        failure = clip.failure
        return cls(
            id=clip.id,
            state=clip.state,
            avatar=order.avatar,
            preset=order.preset,
            seed=order.seed,
            width=order.width,
            height=order.height,
            container=FORMATS[order.container].name,
            frames_done=report.frames_done,
            frames_total=order.frames,
            seconds=order.frames / order.fps,
            seconds_left=report.seconds_left,
            bytes=None if clip.video is None else clip.video.size,
            error=None if failure is None else ErrorAnswer(code=failure.code, detail=failure.detail),
            webhook=WebhookAnswer.of(clip),
            created=_time(clip.created),
            started=None if clip.started is None else _time(clip.started),
            ended=None if clip.ended is None else _time(clip.ended),
            url=f"{CLIPS}/{clip.id}",
            events=f"{CLIPS}/{clip.id}/events",
            video=f"{CLIPS}/{clip.id}/video",
        )


class ClipList(BaseModel):
    """A page of clips, the newest first."""

    clips: list[ClipAnswer] = Field(description="In the order in which they were posted, the last one first.")
    next: str | None = Field(
        description="Ask with `cursor` set to this for the next page; null on the last.", examples=["41"]
    )


class ProblemAnswer(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: Literal["about:blank"] = Field(description="`code` tells problems apart.", examples=["about:blank"])
    title: str = Field(description="What the status means.", examples=["Not Found"])
    status: int = Field(description="The status of the answer.", examples=[404])
    code: str = Field(description="For programs; it does not change.", examples=["unknown_avatar"])
    detail: str = Field(
        description="What was expected, what came, what to do.", examples=["there is no avatar 'x'"]
    )


class AvatarForm(BaseModel):
    """What comes with a picture."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Text] | None = Field(
        None, description="What people call it; made up without it.", examples=["My aunt"]
    )
    crop: str | None = Field(
        None,
        description="The part of the picture to use, `left,top,width,height` as shares of its sides.",
        examples=["0.25,0,0.5,0.5"],
        pattern=r"^(0|1|0?\.[0-9]{1,6})(,(0|1|0?\.[0-9]{1,6})){3}$",
    )

    @property
    def area(self) -> Crop | None:
        """Raises ValueError."""
        if self.crop is None:
            return None
        left, top, width, height = (float(share) for share in self.crop.split(","))
        if not (width > 0 and height > 0 and left + width <= 1 and top + height <= 1):
            raise ValueError(f"expected a part of the picture, 0 to 1 on each side, got {self.crop}")
        return left, top, width, height


class ClipForm(BaseModel):
    """What comes with a recording."""

    model_config = ConfigDict(extra="forbid")

    avatar: Annotated[str, Text] | None = Field(
        None,
        description="The id of an avatar; the server's first without it and without `portrait`.",
        examples=["amara"],
    )
    preset: Annotated[str, Text] | None = Field(
        None, description="How it is sampled; the server's own without it.", examples=["realtime"]
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="The same seed gives the same frames.", examples=[0])
    size: int | None = Field(
        None,
        ge=64,
        le=1024,
        multiple_of=2,
        description="The longer side of the video in pixels; what the model makes without it.",
        examples=[256],
    )
    container: FileContainer = Field(
        "mp4",
        description="The format of the video: mp4 (H.264 and AAC) or webm (VP9 and Opus).",
        examples=["mp4"],
    )
    webhook_url: str | None = Field(
        None,
        max_length=MOST_CHARACTERS,
        description="Where a `WebhookMessage` is posted to when the clip has ended, whatever its last state: an https address "
        "without a name and a password. Refused by servers that send none.",
        examples=["https://example.com/hooks/lipstream"],
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
