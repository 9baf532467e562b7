"""Routes of `/v1/clips`: post a recording, follow the rendering, and fetch the video when it is done, or before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from ..clips.errors import UnknownClipError
from ..clips.service import ClipReport
from ..clips.state import State
from ..media.file.formats import FORMATS
from .avatar_routes import (
    IMAGE_PROBLEMS,
    UPLOAD_PROBLEMS,
    Cursor,
    Limit,
)
from .clip_schemas import (
    CLIPS,
    ClipAnswer,
    ClipForm,
    ClipList,
)
from .clip_submission import ClipSubmission
from .clip_video import video_response
from .dependencies import (
    CurrentCaller,
    CurrentClips,
    CurrentOwner,
    CurrentRuntime,
    CurrentService,
    CurrentUploads,
)
from .openapi import (
    Responses,
    form_body,
    problems,
    without_content,
)

router = APIRouter(tags=["clips"])

ClipId = Annotated[
    str,
    Path(
        description="Id of a clip.",
        pattern="^clip_[0-9a-f]{24}$",
        examples=["clip_5f2b8c0d9e1a4b7c6d3e2f10"],
    ),
]
IdempotencyHeader = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="Any text of your own, known for a day: the same request with the same key makes one clip, "
        "however often it is sent.",
        examples=["9c1b6f0e-order-17"],
    ),
]
StateFilter = Annotated[State | None, Query(description="Only clips in this state.", examples=["queued"])]

_RECORDING_PROBLEMS = {
    "recording_too_large": 413,
    "recording_too_long": 413,
    "not_a_recording": 415,
    "recording_empty": 422,
    "recording_damaged": 422,
    "recording_unusable": 422,
}
_SUBMIT = problems(
    **UPLOAD_PROBLEMS,
    unknown_avatar=404,
    clip_removed=410,
    **IMAGE_PROBLEMS,
    **_RECORDING_PROBLEMS,
    two_faces=422,
    unknown_preset=422,
    container_unsigned=422,
    webhooks_disabled=422,
    webhook_url_refused=422,
    too_many_clips=429,
    idempotency_key_reused=422,
)
_FILES = {
    "audio": "A recording: WAV, FLAC, MP3, Ogg, M4A or a video with audio.",
    "portrait": "An image file with one face, instead of `avatar`.",
}
_ONE = problems(bad_request=400, unknown_clip=404, busy=503)
_EVENTS: Responses = {
    200: {"description": "Events named `clip`; their data are the answers of `GET /v1/clips/{id}`."},
    **_ONE,
}
_BINARY = {each.media_type: {"schema": {"type": "string", "format": "binary"}} for each in FORMATS.values()}
_VIDEO: Responses = {
    200: {"description": "The video, or what there is of it so far.", "content": _BINARY},
    206: {"description": "A part of it.", "content": _BINARY},
    304: {"description": "It has not changed."},
    **problems(
        bad_request=400, unknown_clip=404, clip_without_video=409, range_not_satisfiable=416, busy=503
    ),
}
_VIDEO_HEAD = without_content(
    {status: response for status, response in _VIDEO.items() if status not in (206, 416)}
)


def get_submission(
    runtime: CurrentRuntime, service: CurrentService, clips: CurrentClips, uploads: CurrentUploads
) -> ClipSubmission:
    """Return the submission of clips, unless the server is stopping."""
    runtime.refuse_while_draining()
    return ClipSubmission(service, clips, uploads)


async def get_report(clip: ClipId, clips: CurrentClips, owner: CurrentOwner) -> ClipReport:
    """Return the clip that a path names, and its progress."""
    return await clips.report(clip, owner)


CurrentReport = Annotated[ClipReport, Depends(get_report)]


@router.post(
    CLIPS,
    summary="Order a clip from a recording.",
    status_code=HTTPStatus.ACCEPTED,
    responses=_SUBMIT,
    openapi_extra=form_body(ClipForm, _FILES, ["audio"]),
)
async def submit_clip(
    request: Request,
    response: Response,
    caller: CurrentCaller,
    submission: Annotated[ClipSubmission, Depends(get_submission)],
    idempotency_key: IdempotencyHeader = None,
) -> ClipAnswer:
    """A clip that is answered with 202 is not lost, whatever happens to the server."""
    report, is_new = await submission.submit(request, idempotency_key, caller)
    response.headers["Location"] = f"{CLIPS}/{report.clip.id}"
    if not is_new:
        response.headers["Idempotency-Replayed"] = "true"
    return ClipAnswer.from_report(report)


@router.get(CLIPS, summary="List clips, the newest first.", responses=problems(bad_request=400, busy=503))
async def list_clips(
    clips: CurrentClips,
    owner: CurrentOwner,
    state: StateFilter = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> ClipList:
    """The list has pages."""
    reports = await clips.page(None if cursor is None else int(cursor), limit + 1, state, owner)
    next_cursor = str(reports[limit - 1].clip.number) if len(reports) > limit else None
    return ClipList(clips=[ClipAnswer.from_report(report) for report in reports[:limit]], next=next_cursor)


@router.get(CLIPS + "/{clip}", summary="Describe a clip and its progress.", responses=_ONE)
async def get_clip(report: CurrentReport) -> ClipAnswer:
    """The answer is the clip's entry of the list."""
    return ClipAnswer.from_report(report)


@router.get(
    CLIPS + "/{clip}/events",
    summary="Follow the progress of a clip as server-sent events.",
    response_class=EventSourceResponse,
    responses=_EVENTS,
)
async def watch_clip(
    report: CurrentReport, clips: CurrentClips, owner: CurrentOwner
) -> AsyncIterator[ServerSentEvent]:
    """An event comes at once and at every change, until the clip is in its final state or removed."""
    try:
        async for change in clips.watch(report.clip.id, owner):
            yield ServerSentEvent(event="clip", data=ClipAnswer.from_report(change))
    except UnknownClipError:
        return


@router.get(
    CLIPS + "/{clip}/video",
    summary="Fetch the video of a clip.",
    response_class=Response,
    responses=_VIDEO,
)
async def get_video(clip: ClipId, request: Request, clips: CurrentClips, owner: CurrentOwner) -> Response:
    """While the clip is rendered, the answer ends with the last complete fragment, so that it plays."""
    return await video_response(clips, clip, owner, request)


@router.head(
    CLIPS + "/{clip}/video",
    summary="Give the headers of a clip's video.",
    response_class=Response,
    responses=_VIDEO_HEAD,
)
async def head_video(clip: ClipId, request: Request, clips: CurrentClips, owner: CurrentOwner) -> Response:
    """They are the type, the length now and, once the video is finished, its ETag."""
    return await video_response(clips, clip, owner, request)


@router.post(
    CLIPS + "/{clip}/cancel",
    summary="Cancel a clip.",
    responses={**_ONE, **problems(clip_finished=409)},
)
async def cancel_clip(clip: ClipId, clips: CurrentClips, owner: CurrentOwner) -> ClipAnswer:
    """A cancelled clip stays in the list and has no video."""
    return ClipAnswer.from_report(await clips.cancel(clip, owner))


@router.delete(
    CLIPS + "/{clip}",
    summary="Remove a clip with its video.",
    status_code=HTTPStatus.NO_CONTENT,
    responses=_ONE,
)
async def remove_clip(clip: ClipId, clips: CurrentClips, owner: CurrentOwner) -> None:
    """An unfinished clip is cancelled first."""
    await clips.remove(clip, owner)
