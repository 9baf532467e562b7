"""`POST /v1/tokens`: a backend with an API key gets a short-lived session token for a browser."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from ..errors import RequestRefusedError
from .dependencies import CurrentAuthenticator, CurrentCaller, CurrentService
from .openapi import problems

TOKENS = "/v1/tokens"  # a path
router = APIRouter(tags=["tokens"])


class TokenForm(BaseModel):
    """What a session token allows, and for how long."""

    model_config = ConfigDict(extra="forbid")

    avatar: str | None = Field(
        None,
        min_length=1,
        max_length=80,
        description="Id of the avatar that the token opens sessions of; the server's default without it.",
        examples=["amara"],
    )
    seconds: float = Field(
        600,
        gt=0,
        allow_inf_nan=False,
        description="Longest duration of a session in seconds.",
        examples=[600],
    )
    connect_seconds: float = Field(
        60,
        gt=0,
        allow_inf_nan=False,
        description="Time in seconds in which sessions may be opened, rounded up; an open session goes on.",
        examples=[60],
    )


class TokenAnswer(BaseModel):
    """A session token, which is shown once."""

    token: str = Field(
        description="A JSON Web Token. Offer the WebSocket subprotocol `lipstream.token.TOKEN` beside `lipstream.v1`.",
        examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhdmF0YXIiOiJhbWFyYSJ9.c2ln"],
    )
    avatar: str = Field(description="Id of the only avatar that it opens sessions of.", examples=["amara"])
    seconds: float = Field(description="Longest duration of a session in seconds.", examples=[600])
    expires: datetime = Field(
        description="Time from which on it opens no session.", examples=["2026-11-24T12:00:00Z"]
    )


@router.post(
    TOKENS,
    summary="Issue a session token for a browser.",
    status_code=HTTPStatus.CREATED,
    responses=problems(bad_request=400, unknown_avatar=404, too_long=422, busy=503),
)
async def issue_token(
    form: TokenForm,
    response: Response,
    caller: CurrentCaller,
    service: CurrentService,
    authenticator: CurrentAuthenticator,
) -> TokenAnswer:
    """The token opens sessions of one avatar for a while, so that a browser need not have the API key."""
    limits = service.settings.access
    _check_limit("seconds", form.seconds, limits.max_token_session_seconds)
    _check_limit("connect_seconds", form.connect_seconds, limits.max_token_connect_seconds)
    avatar = await service.avatars.get(form.avatar or service.default_avatar, caller.owner)
    text, token = authenticator.issue_token(caller, avatar.id, form.seconds, form.connect_seconds)
    response.headers["Cache-Control"] = "no-store"
    expires = datetime.fromtimestamp(token.expires, UTC)
    return TokenAnswer(token=text, avatar=avatar.id, seconds=form.seconds, expires=expires)


def _check_limit(name: str, seconds: float, limit: float) -> None:
    if seconds > limit:
        detail = f"{name} is {limit:g} at most on this server, got {seconds:g}"
        raise RequestRefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "too_long", detail)
