"""`/v1/clips`: videos that are made in the background and fetched when they are done, or before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from ..auth.caller import Asking, Owner
from ..clips.service import Clips
from ..clips.state import State
from ..media.file.formats import FORMATS
from .avatar_routes import (
    PICTURE_REFUSALS,
    UPLOAD_REFUSALS,
    Cursor,
    Limit,
)
from .clip_events import events
from .clip_submission import ClipOrders
from .clip_video import answer_video
from .openapi import Responses, form, refusals
from .schemas import (
    CLIPS,
    ClipAnswer,
    ClipForm,
    ClipList,
)

ClipId = Annotated[
    str,
    Path(
        description="The id of a clip.",
        pattern="^clip_[0-9a-f]{24}$",
        examples=["clip_5f2b8c0d9e1a4b7c6d3e2f10"],
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="Any text of your own, known for a day: the same request with the same key makes one clip, however "
        "often it is sent.",
        examples=["9c1b6f0e-order-17"],
    ),
]
_RECORDING_REFUSALS = {
    "recording_too_large": 413,
    "recording_too_long": 413,
    "not_a_recording": 415,
    "recording_empty": 422,
    "recording_damaged": 422,
    "recording_unusable": 422,
}
_POST = refusals(
    **UPLOAD_REFUSALS,
    unknown_avatar=404,
    clip_removed=410,
    **PICTURE_REFUSALS,
    **_RECORDING_REFUSALS,
    two_faces=422,
    unknown_preset=422,
    container_unsigned=422,
    webhooks_disabled=422,
    webhook_url_refused=422,
    too_many_clips=429,
    idempotency_key_reused=422,
)
_FILES = {
    "audio": "A recording: WAV, FLAC, MP3, Ogg, M4A or the sound of a video.",
    "portrait": "A picture file with one face, instead of `avatar`.",
}
_ONE = refusals(bad_request=400, unknown_clip=404, busy=503)
_EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"const": "clip", "description": "There is no other.", "examples": ["clip"]},
        "data": {"type": "string", "contentMediaType": "application/json", "description": "A `ClipAnswer`."},
    },
}
_BINARY = {each.media_type: {"schema": {"type": "string", "format": "binary"}} for each in FORMATS.values()}
_VIDEO: Responses = {
    200: {"description": "The video, or what there is of it up to now.", "content": _BINARY},
    206: {"description": "A part of it.", "content": _BINARY},
    304: {"description": "It has not changed."},
    **refusals(
        bad_request=400, unknown_clip=404, clip_without_video=409, range_not_satisfiable=416, busy=503
    ),
}
_VIDEO_HEAD: Responses = {status: said for status, said in _VIDEO.items() if status not in (206, 416)}


def clip_routes(clips: Callable[[], Clips], orders: Callable[[], ClipOrders]) -> APIRouter:
    """Both raise BusyError: clips before the data directory is open, orders while the model is being loaded."""
    routes = APIRouter(tags=["clips"])

    @routes.post(
        CLIPS,
        status_code=HTTPStatus.ACCEPTED,
        responses=_POST,
        openapi_extra=form(ClipForm, _FILES, ["audio"]),
    )
    async def post(
        request: Request, response: Response, caller: Asking, idempotency_key: IdempotencyKey = None
    ) -> ClipAnswer:
        """Have a recording said by a face. What is answered with 202 is not lost, whatever happens to the server."""
        report, new = await orders().take(request, idempotency_key, caller)
        response.headers["Location"] = f"{CLIPS}/{report.clip.id}"
        if not new:
            response.headers["Idempotency-Replayed"] = "true"
        return ClipAnswer.of(report)

    @routes.get(CLIPS, responses=refusals(bad_request=400, busy=503))
    async def page(
        state: Annotated[
            State | None, Query(description="Only those in this state.", examples=["queued"])
        ] = None,
        limit: Limit = 100,
        cursor: Cursor = None,
        *,
        owner: Owner,
    ) -> ClipList:
        """Clips, the newest first."""
        found = await clips().page(None if cursor is None else int(cursor), limit + 1, state, owner)
        more = str(found[limit - 1].clip.number) if len(found) > limit else None
        return ClipList(clips=[ClipAnswer.of(report) for report in found[:limit]], next=more)

    @routes.get(CLIPS + "/{clip}", responses=_ONE)
    async def one(clip: ClipId, owner: Owner) -> ClipAnswer:
        """How far a clip is."""
        return ClipAnswer.of(await clips().report(clip, owner))

    @routes.get(
        CLIPS + "/{clip}/events",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "Events named `clip`, whose data are what `GET /v1/clips/{id}` answers.",
                "content": {"text/event-stream": {"schema": _EVENT}},
            },
            **_ONE,
        },
    )
    async def follow(clip: ClipId, owner: Owner) -> Response:
        """How far a clip is, now and whenever it changes, until it is finished."""
        await clips().report(clip, owner)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        told: AsyncIterator[bytes] = events(clips(), clip, owner)
        return StreamingResponse(told, media_type="text/event-stream", headers=headers)

    @routes.get(CLIPS + "/{clip}/video", response_class=Response, responses=_VIDEO)
    async def video(clip: ClipId, request: Request, owner: Owner) -> Response:
        """The video; while it is being made, all of it up to the last finished fragment, which plays."""
        return await answer_video(clips(), clip, owner, request)

    @routes.head(CLIPS + "/{clip}/video", response_class=Response, responses=_VIDEO_HEAD)
    async def video_head(clip: ClipId, request: Request, owner: Owner) -> Response:
        """The headers of the video, as it is now: type, length and, once it is finished, its ETag."""
        return await answer_video(clips(), clip, owner, request)

    @routes.post(
        CLIPS + "/{clip}/cancel",
        responses={**_ONE, **refusals(clip_finished=409)},
    )
    async def cancel(clip: ClipId, owner: Owner) -> ClipAnswer:
        """Do not make it, or not to its end. It stays in the list, cancelled, and has no video."""
        return ClipAnswer.of(await clips().cancel(clip, owner))

    @routes.delete(CLIPS + "/{clip}", status_code=HTTPStatus.NO_CONTENT, responses=_ONE)
    async def remove(clip: ClipId, owner: Owner) -> None:
        """Cancel it, if it is not finished, and remove it with its video."""
        await clips().remove(clip, owner)

    return routes
