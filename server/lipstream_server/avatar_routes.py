"""`/v1/avatars`: the faces that can be had, what they look like, and bringing one's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from .avatars import Avatar
from .busy import BusyError
from .problem import Problem
from .service import Service
from .settings import ServerSettings

PATH = "/v1/avatars"
_PREVIEW_HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}


class AvatarAnswer(BaseModel):
    """preview: where its picture is. notes: on the picture, for whoever brought it."""

    id: str
    name: str
    preview: str
    bundled: bool
    notes: list[str]


class AvatarList(BaseModel):
    """The first is the default."""

    avatars: list[AvatarAnswer]


def avatar_routes(find: Callable[[], Service | None], settings: ServerSettings) -> APIRouter:
    """find: the service, None while its model is being loaded."""
    routes = APIRouter()

    def service() -> Service:
        found = find()
        if found is None or not found.ready:
            raise BusyError("the model is being loaded", settings.retry_seconds)
        return found

    @routes.get(PATH)
    async def avatars() -> AvatarList:
        """All avatars, the server's default first."""
        return AvatarList(avatars=[_answer(avatar) for avatar in service().avatars.all])

    @routes.get(PATH + "/{avatar}/preview", response_class=Response)
    async def preview(avatar: str) -> Response:
        """The portrait as the model sees it, a JPEG."""
        picture = await service().avatars.preview(avatar)
        return Response(picture, media_type="image/jpeg", headers=_PREVIEW_HEADERS)

    @routes.post(PATH, status_code=HTTPStatus.CREATED)
    async def bring(
        request: Request,
        response: Response,
        name: Annotated[str | None, Query(min_length=1, max_length=80)] = None,
    ) -> AvatarAnswer:
        """An avatar from a picture file, which is the body of the request; its declared type does not count."""
        avatars = service().avatars
        with avatars.receiving():
            data = await _body(request, settings.avatars.max_bytes, settings.avatars.upload_seconds)
            avatar, new = await avatars.add(data, name)
        if not new:
            response.status_code = HTTPStatus.OK
        response.headers["Location"] = f"{PATH}/{avatar.id}"
        return _answer(avatar)

    return routes


async def _body(request: Request, most: int, seconds: float) -> bytes:
    """The request's body, given up as soon as it is too long. Raises Problem."""
    too_large = Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "picture_too_large",
        f"expected at most {most} bytes; the picture is larger. Save it smaller, as JPEG",
    )
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise too_large
    data = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                data += piece
                if len(data) > most:
                    raise too_large
    except TimeoutError:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT, "too_slow", f"the picture did not arrive within {seconds:g} s"
        ) from None
    except ClientDisconnect:
        raise Problem(HTTPStatus.BAD_REQUEST, "cut_off", "the connection ended within the picture") from None
    return bytes(data)


def _answer(avatar: Avatar) -> AvatarAnswer:
    return AvatarAnswer(
        id=avatar.id,
        name=avatar.name,
        preview=f"{PATH}/{avatar.id}/preview",
        bundled=avatar.bundled,
        notes=list(avatar.notes),
    )
