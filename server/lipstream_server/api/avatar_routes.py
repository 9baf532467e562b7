"""Routes of `/v1/avatars`: list avatars, show portraits, add and remove avatars."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ValidationError

from ..errors import RequestRefusedError
from ..http.multipart import FormPart
from ..http.problem_details import bad_request, format_validation_errors
from .avatar_schemas import (
    AVATARS,
    AvatarAnswer,
    AvatarForm,
    AvatarList,
)
from .dependencies import CurrentOwner, CurrentService, CurrentUploads
from .openapi import (
    Responses,
    form_body,
    problems,
    without_content,
)

router = APIRouter(tags=["avatars"])

IMAGE_PROBLEMS = {
    "image_too_large": 413,
    "not_an_image": 415,
    "image_empty": 422,
    "image_damaged": 422,
    "image_colour": 422,
    "image_unusable": 422,
    "no_face": 422,
    "face_too_small": 422,
}
UPLOAD_PROBLEMS = {"bad_request": 400, "cut_off": 400, "too_slow": 408, "busy": 503, "storage_full": 507}

_TEXT_PART = FormPart(4096)
_PREVIEW_HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}
_JPEG = {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}
_PREVIEW: Responses = {
    200: {"description": "The portrait.", "content": _JPEG},
    **problems(bad_request=400, unknown_avatar=404, busy=503),
}
_ADD: Responses = {
    200: {"description": "The same image was added before.", "model": AvatarAnswer},
    **problems(**UPLOAD_PROBLEMS, **IMAGE_PROBLEMS, crop_outside=422),
}

AvatarId = Annotated[
    str, Path(description="Id of an avatar.", min_length=1, max_length=80, examples=["amara"])
]
Limit = Annotated[int, Query(ge=1, le=200, description="Most entries of a page.", examples=[20])]
Cursor = Annotated[
    str | None,
    Query(pattern=r"^-?[0-9]{1,15}$", description="`next` of the page before.", examples=["7"]),
]
AvatarName = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=80,
        description="Name of an avatar whose image is the whole body.",
        examples=["Me"],
    ),
]


@router.get(
    AVATARS,
    summary="List all avatars, the server's default first.",
    responses=problems(bad_request=400, busy=503),
)
async def list_avatars(
    service: CurrentService, owner: CurrentOwner, limit: Limit = 100, cursor: Cursor = None
) -> AvatarList:
    """Bundled avatars come first, then added ones in the order in which they came."""
    after = None if cursor is None else int(cursor)
    avatars = await service.avatars.page(after, limit + 1, owner)
    next_cursor = str(avatars[limit - 1].number) if len(avatars) > limit else None
    return AvatarList(
        avatars=[AvatarAnswer.from_avatar(avatar) for avatar in avatars[:limit]], next=next_cursor
    )


@router.get(
    AVATARS + "/{avatar}",
    summary="Describe one avatar.",
    responses=problems(bad_request=400, unknown_avatar=404, busy=503),
)
async def get_avatar(avatar: AvatarId, service: CurrentService, owner: CurrentOwner) -> AvatarAnswer:
    """The answer is the avatar's entry of the list."""
    return AvatarAnswer.from_avatar(await service.avatars.get(avatar, owner))


@router.get(
    AVATARS + "/{avatar}/preview",
    summary="Show the portrait of an avatar.",
    response_class=Response,
    responses=_PREVIEW,
)
async def get_preview(avatar: AvatarId, service: CurrentService, owner: CurrentOwner) -> Response:
    """The answer is a JPEG of the portrait as the model sees it."""
    image = await service.avatars.preview(avatar, owner)
    return Response(image, media_type="image/jpeg", headers=_PREVIEW_HEADERS)


@router.head(
    AVATARS + "/{avatar}/preview",
    summary="Give the headers of a portrait.",
    response_class=Response,
    responses=without_content(_PREVIEW),
)
async def head_preview(avatar: AvatarId, service: CurrentService, owner: CurrentOwner) -> Response:
    """The headers are those of GET."""
    length = {"Content-Length": str(len(await service.avatars.preview(avatar, owner)))}
    return Response(media_type="image/jpeg", headers=_PREVIEW_HEADERS | length)


@router.post(
    AVATARS,
    summary="Add an avatar from an image.",
    status_code=HTTPStatus.CREATED,
    responses=_ADD,
    openapi_extra=form_body(AvatarForm, {"image": "An image file with one face."}, ["image"], raw=True),
)
async def add_avatar(
    request: Request,
    response: Response,
    service: CurrentService,
    uploads: CurrentUploads,
    owner: CurrentOwner,
    name: AvatarName = None,
) -> AvatarAnswer:
    """The image is a part of a form or the whole body; its declared type is ignored."""
    parts = {
        "image": FormPart(service.settings.avatars.max_image_bytes, "image_too_large", True),
        "name": _TEXT_PART,
        "crop": _TEXT_PART,
    }
    async with uploads.receive_form(request, parts, raw="image") as form:
        if "image" not in form.files:
            raise bad_request("expected a part named image: an image file")
        try:
            fields = AvatarForm.model_validate({"name": name} | form.fields)
            crop = fields.parsed_crop()
        except ValidationError as error:
            raise bad_request(format_validation_errors(error.errors())) from error
        except ValueError as error:
            raise RequestRefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "crop_outside", str(error)) from error
        avatar, is_new = await service.avatars.add(form.files["image"], owner, fields.name, crop)
    if not is_new:
        response.status_code = HTTPStatus.OK
    response.headers["Location"] = f"{AVATARS}/{avatar.id}"
    return AvatarAnswer.from_avatar(avatar)


@router.delete(
    AVATARS + "/{avatar}",
    summary="Remove an avatar that a client added.",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(bad_request=400, avatar_bundled=403, unknown_avatar=404, avatar_in_use=409, busy=503),
)
async def remove_avatar(avatar: AvatarId, service: CurrentService, owner: CurrentOwner) -> None:
    """An avatar that a session or an unfinished clip uses stays until they have ended."""
    await service.avatars.remove(avatar, owner)
