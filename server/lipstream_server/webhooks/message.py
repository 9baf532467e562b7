"""The body of a webhook: that a clip has ended, and where its details are. It says little, as others may read it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, Field

from ..clips.state import Clip, State

_EXAMPLE_ID = "clip_5f2b8c0d9e1a4b7c6d3e2f10"


class EndedClip(BaseModel):
    """A clip that has ended. `GET` of its `url` gives the details."""

    id: str = Field(description="Id of the clip.", examples=[_EXAMPLE_ID])
    state: Literal["succeeded", "failed", "cancelled"] = Field(
        description="Its final state.", examples=["succeeded"]
    )
    url: str = Field(description="Path of the clip's details.", examples=[f"/v1/clips/{_EXAMPLE_ID}"])
    video: str | None = Field(
        description="Path of the video; null where there is none.",
        examples=[f"/v1/clips/{_EXAMPLE_ID}/video"],
    )
    seconds: float = Field(description="Duration of the whole video in seconds.", examples=[13.6])
    error: str | None = Field(description="Code of the failure; null where there is none.", examples=[None])


class WebhookMessage(BaseModel):
    """Message to the `webhook_url` of a clip, signed as the Standard Webhooks specification says."""

    type: Literal["clip.succeeded", "clip.failed", "clip.cancelled"] = Field(
        description="The event.", examples=["clip.succeeded"]
    )
    timestamp: datetime = Field(
        description="When the clip ended, not when the message was sent.", examples=["2026-11-24T12:00:00Z"]
    )
    data: EndedClip = Field(description="The clip.")


def webhook_body(clip: Clip) -> str:
    """Return the JSON body of the message about a clip in its final state."""
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
                "seconds": clip.spec.frames / clip.spec.fps,
                "error": clip.failure and clip.failure.code,
            },
        }
    ).model_dump_json()
