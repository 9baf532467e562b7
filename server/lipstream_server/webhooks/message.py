"""What a webhook says: that a clip has ended, and where more is told. Little, because it may be read elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, Field

from ..clips.state import Clip, State

_CLIP = "clip_5f2b8c0d9e1a4b7c6d3e2f10"


class EndedClip(BaseModel):
    """The clip that has ended; `GET` of its `url` tells the rest."""

    id: str = Field(description="What names it in requests.", examples=[_CLIP])
    state: Literal["succeeded", "failed", "cancelled"] = Field(
        description="Its last state.", examples=["succeeded"]
    )
    url: str = Field(description="Where more is told.", examples=[f"/v1/clips/{_CLIP}"])
    video: str | None = Field(
        description="Where the video is; null where there is none.", examples=[f"/v1/clips/{_CLIP}/video"]
    )
    seconds: float = Field(description="Length of the whole video.", examples=[13.6])
    error: str | None = Field(description="The code of why it has failed, else null.", examples=[None])


class WebhookMessage(BaseModel):
    """Sent to the `webhook_url` of a clip, signed as the Standard Webhooks specification says."""

    type: Literal["clip.succeeded", "clip.failed", "clip.cancelled"] = Field(
        description="What has happened.", examples=["clip.succeeded"]
    )
    timestamp: datetime = Field(description="When; not when it was sent.", examples=["2026-11-24T12:00:00Z"])
    data: EndedClip = Field(description="The clip.")


def message(clip: Clip) -> str:
    """clip: in its last state."""
    url = f"/v1/clips/{clip.id}"
    return WebhookMessage.model_validate(
        {
            "type": f"clip.{clip.state}",
            "timestamp": datetime.fromtimestamp(clip.ended or clip.created, UTC),
            "data": {
                "id": clip.id,
                "state": clip.state.value,
                "url": url,
                "video": f"{url}/video" if clip.state is State.SUCCEEDED else None,
                "seconds": clip.order.frames / clip.order.fps,
                "error": clip.failure and clip.failure.code,
            },
        }
    ).model_dump_json()
