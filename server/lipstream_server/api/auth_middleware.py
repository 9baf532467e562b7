"""The gate: every request and every WebSocket passes it before anything else looks at them. What is not named here as open asks
for a key, on a server that has keys.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Literal

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from ..auth.authenticator import Access
from ..auth.caller import Caller, unauthorized
from ..auth.origin import allowed_host, allowed_origin
from ..auth.session_tokens import TOKEN_PREFIX
from ..busy import BusyError
from ..config.settings import ServerSettings
from ..http.problem_details import Problem, problem_of, respond
from ..observability.logs import log_event
from ..observability.telemetry import Telemetry
from ..protocol import (
    SUBPROTOCOL,
    TOKEN_SUBPROTOCOL,
    CloseCode,
    ErrorCode,
)
from ..sessions.channel import Channel
from ..sessions.ending import SessionClosed
from .static_page import SAMPLE_PATH
from .stream_route import farewell

log = logging.getLogger(__name__)

_PROBES = frozenset({"/healthz", "/readyz"})
_OPEN = frozenset({*_PROBES, "/", SAMPLE_PATH, "/docs", "/redoc", "/openapi.json"})
_PAGE = "/page/"


class Gate:
    """Leaves who asks in `state.caller`. access: raises BusyError before the data directory is open."""

    def __init__(
        self,
        app: ASGIApp,
        access: Callable[[], Access],
        keyed: bool,
        settings: ServerSettings,
        telemetry: Telemetry,
    ) -> None:
        self._app, self._access, self._keyed, self._settings = app, access, keyed, settings
        self._metrics = telemetry.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope, Headers(scope=scope))
            caller = await self._caller(scope, Headers(scope=scope))
        except (Problem, BusyError) as error:
            await self._refuse(problem_of(error), scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Raises Problem."""
        access, hosts = self._settings.access, headers.getlist("host")
        guarded = not self._keyed and scope["path"] not in _PROBES
        for host in hosts if guarded else ():
            if not allowed_host(host, access.hosts):
                detail = (
                    f"a server without keys answers to addresses and to localhost, not to {host!r}, which may be a trick "
                    "of another page; add the name to the setting access.hosts if it is this server's"
                )
                raise Problem(HTTPStatus.MISDIRECTED_REQUEST, "host_refused", detail)
        for origin in headers.getlist("origin"):
            asked = hosts[0] if len(hosts) == 1 else None
            if not allowed_origin(origin, asked, access.origins):
                detail = (
                    f"pages of {origin!r} may not use this server, which was asked for as {asked!r}; add the origin to the "
                    "setting access.origins if they may, or let the proxy before it pass on the header Host"
                )
                raise Problem(HTTPStatus.FORBIDDEN, "origin_refused", detail)

    async def _caller(self, scope: Scope, headers: Headers) -> Caller:
        """Raises Problem, BusyError."""
        path, for_session = scope["path"], scope["type"] == "websocket"
        if not for_session and (not self._keyed or path in _OPEN or path.startswith(_PAGE)):
            return Caller()
        credential = _credential(headers) if self._keyed else None
        if for_session:
            credential = _offered(scope["subprotocols"]) or credential
            if credential is None and not self._keyed:
                return Caller()
        return await self._access().caller(credential, for_session)

    async def _refuse(self, problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        answer = respond(problem)
        kind: Literal["request", "session"] = "request" if scope["type"] == "http" else "session"
        self._metrics.record_refusal(kind, problem.code)
        log_event(log, "refused", kind=kind, reason=problem.code, status=problem.status.value)
        if scope["type"] == "http":
            await answer(scope, receive, send)
            return
        socket = WebSocket(scope, receive, send)
        await socket.receive()
        if SUBPROTOCOL not in scope["subprotocols"] or problem.status is HTTPStatus.FORBIDDEN:
            await socket.send_denial_response(answer)
            return
        # A browser tells its page nothing of a handshake that failed; so the page's own protocol does.
        await socket.accept(SUBPROTOCOL)
        await farewell(Channel(socket, self._settings.send_seconds), _ending(problem))


def allow_origins(app: FastAPI, origins: Sequence[str]) -> None:
    """Let browsers show pages of these origins what the server answers; without any, none but its own (no CORS)."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "HEAD", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Range"],
            expose_headers=["Location", "Retry-After", "Idempotency-Replayed", "Content-Range", "ETag"],
        )


def _credential(headers: Headers) -> str | None:
    """Of `Authorization: Bearer`; of several headers none counts."""
    said = headers.getlist("authorization")
    scheme, _, credential = (said[0] if len(said) == 1 else "").partition(" ")
    return credential.strip() or None if scheme.lower() == "bearer" else None


def _offered(subprotocols: list[str]) -> str | None:
    """The token among what a browser offers; keys have no place there."""
    found = [each for each in subprotocols if each.startswith(TOKEN_SUBPROTOCOL + TOKEN_PREFIX)]
    return found[0].removeprefix(TOKEN_SUBPROTOCOL) if found else None


def _ending(problem: Problem) -> SessionClosed:
    if problem.status is HTTPStatus.UNAUTHORIZED:
        return unauthorized(str(problem))
    return SessionClosed(CloseCode.BUSY, "busy", ErrorCode.BUSY, str(problem), problem.retry_after)
