"""`/v1/avatars`: the faces that can be had, what they look like, and bringing and removing one's own."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ValidationError

from ..auth.caller import Owner
from ..config.settings import ServerSettings
from ..http.multipart import Part, bad_form
from ..http.problem_details import Problem, said
from ..http.uploads import Uploads
from ..sessions.service import Service, unready_error
from .openapi import Responses, form, refusals
from .schemas import (
    AVATARS,
    AvatarAnswer,
    AvatarForm,
    AvatarList,
)

_PREVIEW_HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}
_TEXT = Part(4096)
_JPEG = {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}
_PREVIEW: Responses = {
    200: {"description": "The picture.", "content": _JPEG},
    **refusals(bad_request=400, unknown_avatar=404, busy=503),
}

AvatarId = Annotated[
    str, Path(description="The id of an avatar.", min_length=1, max_length=80, examples=["amara"])
]
Limit = Annotated[int, Query(ge=1, le=200, description="Most on a page.", examples=[20])]
Cursor = Annotated[
    str | None,
    Query(pattern=r"^-?[0-9]{1,15}$", description="`next` of the page before.", examples=["7"]),
]


def avatar_routes(
    find: Callable[[], Service | None], uploads: Callable[[], Uploads], settings: ServerSettings
) -> APIRouter:
    """find: the service, None while its model is being loaded. uploads: asked for once the service is there."""
    routes = APIRouter(tags=["avatars"])
    parts = {
        "image": Part(settings.avatars.max_image_bytes, "picture_too_large", True),
        "name": _TEXT,
        "crop": _TEXT,
    }

    def service() -> Service:
        found = find()
        if found is None or not found.is_ready:
            raise unready_error(found, settings.retry_after_seconds)
        return found

    @routes.get(AVATARS, responses=refusals(bad_request=400, busy=503))
    async def avatars(limit: Limit = 100, cursor: Cursor = None, *, owner: Owner) -> AvatarList:
        """All avatars, the server's default first."""
        after = None if cursor is None else int(cursor)
        found = await service().avatars.page(after, limit + 1, owner)
        more = str(found[limit - 1].number) if len(found) > limit else None
        return AvatarList(avatars=[AvatarAnswer.of(avatar) for avatar in found[:limit]], next=more)

    @routes.get(AVATARS + "/{avatar}", responses=refusals(bad_request=400, unknown_avatar=404, busy=503))
    async def one(avatar: AvatarId, owner: Owner) -> AvatarAnswer:
        """One avatar."""
        return AvatarAnswer.of(await service().avatars.get(avatar, owner))

    @routes.get(AVATARS + "/{avatar}/preview", response_class=Response, responses=_PREVIEW)
    async def preview(avatar: AvatarId, owner: Owner) -> Response:
        """The portrait as the model sees it, a JPEG."""
        picture = await service().avatars.preview(avatar, owner)
        return Response(picture, media_type="image/jpeg", headers=_PREVIEW_HEADERS)

    @routes.head(AVATARS + "/{avatar}/preview", response_class=Response, responses=_PREVIEW)
    async def preview_head(avatar: AvatarId, owner: Owner) -> Response:
        """The headers of the portrait."""
        length = {"Content-Length": str(len(await service().avatars.preview(avatar, owner)))}
        return Response(media_type="image/jpeg", headers=_PREVIEW_HEADERS | length)

    @routes.post(
        AVATARS,
        status_code=HTTPStatus.CREATED,
        responses={
            200: {"description": "The same picture was there already.", "model": AvatarAnswer},
            **_BRING,
        },
        openapi_extra=form(AvatarForm, {"image": "A picture file with one face."}, ["image"], raw=True),
    )
    async def bring(
        request: Request,
        response: Response,
        owner: Owner,
        name: Annotated[
            str | None,
            Query(
                min_length=1,
                max_length=80,
                description="Of a picture that is the whole body.",
                examples=["Me"],
            ),
        ] = None,
    ) -> AvatarAnswer:
        """An avatar from a picture file, in a form or as the whole body; its declared type does not count."""
        avatars = service().avatars
        async with uploads().form(request, parts, raw="image") as posted:
            if "image" not in posted.files:
                raise bad_form("expected a part named image: a picture file")
            try:
                asked = AvatarForm.model_validate({"name": name} | posted.fields)
                area = asked.area
            except ValidationError as error:
                raise bad_form(said(error.errors())) from error
            except ValueError as error:
                raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "crop_outside", str(error)) from error
            avatar, new = await avatars.add(posted.files["image"], owner, asked.name, area)
        if not new:
            response.status_code = HTTPStatus.OK
        response.headers["Location"] = f"{AVATARS}/{avatar.id}"
        return AvatarAnswer.of(avatar)

    @routes.delete(
        AVATARS + "/{avatar}",
        status_code=HTTPStatus.NO_CONTENT,
        responses=refusals(
            bad_request=400, avatar_bundled=403, unknown_avatar=404, avatar_in_use=409, busy=503
        ),
    )
    async def remove(avatar: AvatarId, owner: Owner) -> None:
        """Remove an avatar that a client brought."""
        await service().avatars.remove(avatar, owner)

    return routes


PICTURE_REFUSALS = {
    "picture_too_large": 413,
    "not_a_picture": 415,
    "picture_empty": 422,
    "picture_damaged": 422,
    "picture_colour": 422,
    "picture_unusable": 422,
    "no_face": 422,
    "face_too_small": 422,
}
UPLOAD_REFUSALS = {"bad_request": 400, "cut_off": 400, "too_slow": 408, "busy": 503, "storage_full": 507}
_BRING = refusals(**UPLOAD_REFUSALS, **PICTURE_REFUSALS, crop_outside=422)
