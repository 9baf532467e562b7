"""`POST /v1/tokens`: what a page gets from the program behind it, which has a key, to open sessions of one avatar for a while."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from ..auth.authenticator import Access
from ..auth.caller import Asking
from ..config.settings import ServerSettings
from ..http.problem_details import Problem
from ..sessions.service import Service, unready_error
from .openapi import refusals

TOKENS = "/v1/tokens"  # a path


class TokenForm(BaseModel):
    """For whom, and for how long."""

    model_config = ConfigDict(extra="forbid")

    avatar: str | None = Field(
        None,
        min_length=1,
        max_length=80,
        description="The id of the avatar that it opens sessions of; the server's first without it.",
        examples=["amara"],
    )
    seconds: float = Field(
        600, gt=0, allow_inf_nan=False, description="That a session may last.", examples=[600]
    )
    connect_seconds: float = Field(
        60,
        gt=0,
        allow_inf_nan=False,
        description="From now, in which sessions may be begun; one that has begun goes on.",
        examples=[60],
    )


class TokenAnswer(BaseModel):
    """A token, which is shown this once."""

    token: str = Field(
        description="Goes into a WebSocket's subprotocols as `lipstream.token.TOKEN`, beside `lipstream.v1`.",
        examples=["lst_eyJrZXkiOm51bGx9.c2ln"],
    )
    avatar: str = Field(description="The only one that it opens sessions of.", examples=["amara"])
    seconds: float = Field(description="That a session may last.", examples=[600])
    expires: datetime = Field(
        description="When it opens no more sessions.", examples=["2026-11-24T12:00:00Z"]
    )


def token_routes(
    find: Callable[[], Service | None], access: Callable[[], Access], settings: ServerSettings
) -> APIRouter:
    routes = APIRouter(tags=["tokens"])

    @routes.post(
        TOKENS,
        status_code=HTTPStatus.CREATED,
        responses=refusals(bad_request=400, unknown_avatar=404, too_long=422, busy=503),
    )
    async def issue(form: TokenForm, response: Response, caller: Asking) -> TokenAnswer:
        """A short-lived token, for a browser that must not have the key."""
        service, limits = find(), settings.access
        if service is None or not service.is_ready:
            raise unready_error(service, settings.retry_after_seconds)
        _check("seconds", form.seconds, limits.max_token_session_seconds)
        _check("connect_seconds", form.connect_seconds, limits.max_token_connect_seconds)
        avatar = await service.avatars.get(form.avatar or service.default_avatar, caller.owner)
        text, token = access().issue(caller, avatar.id, form.seconds, form.connect_seconds)
        response.headers["Cache-Control"] = "no-store"
        expires = datetime.fromtimestamp(token.expires, UTC)
        return TokenAnswer(token=text, avatar=avatar.id, seconds=form.seconds, expires=expires)

    return routes


def _check(name: str, seconds: float, most: float) -> None:
    if seconds > most:
        detail = f"{name} is {most:g} at most on this server, got {seconds:g}"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "too_long", detail)
