"""The middleware that every HTTP request and WebSocket passes first: host, origin and credential are checked.

On a server with keys, every path that is not listed here as open needs an API key.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Literal

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from ..auth.caller import Caller
from ..auth.origin import is_allowed_host, is_allowed_origin
from ..auth.session_tokens import TOKEN_PREFIX
from ..errors import RequestRefusedError, StatusError
from ..http.problem_details import problem_response
from ..observability.logs import log_event
from ..protocol import (
    SUBPROTOCOL,
    TOKEN_SUBPROTOCOL,
    CloseCode,
    ErrorCode,
)
from ..sessions.channel import Channel
from ..sessions.session_errors import SessionClosed
from .runtime import Runtime
from .static_page import SAMPLE_PATH
from .stream_route import close_with_reason, unauthorized_ending

log = logging.getLogger(__name__)

_PROBE_PATHS = frozenset({"/healthz", "/readyz"})
_OPEN_PATHS = frozenset({*_PROBE_PATHS, "/", SAMPLE_PATH, "/docs", "/redoc", "/openapi.json"})
_PAGE_PREFIX = "/page/"


class AuthMiddleware:
    """ASGI middleware that stores the authenticated caller in `state.caller`.

    Args:
        app: The application behind it.
        runtime: State of the server.
    """

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self._app, self._runtime = app, runtime
        self._access, self._keyed = runtime.settings.access, runtime.keyed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request or a WebSocket, and pass it on or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._check_host(scope["path"], headers)
            self._check_origin(headers)
            caller = await self._authenticate(scope, headers)
        except StatusError as problem:
            await self._refuse(problem, scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    def _check_host(self, path: str, headers: Headers) -> None:
        """Refuse names of others for a server without keys; probes of machines may use any name."""
        if self._keyed or path in _PROBE_PATHS:
            return
        for host in headers.getlist("host"):
            if not is_allowed_host(host, self._access.allowed_hosts):
                detail = (
                    f"a server without keys answers to addresses and to localhost, not to {host!r}, which may be a "
                    "trick of another page; add the name to the setting access.allowed_hosts if it is this server's"
                )
                raise RequestRefusedError(HTTPStatus.MISDIRECTED_REQUEST, "host_refused", detail)

    def _check_origin(self, headers: Headers) -> None:
        hosts = headers.getlist("host")
        host = hosts[0] if len(hosts) == 1 else None
        for origin in headers.getlist("origin"):
            if not is_allowed_origin(origin, host, self._access.allowed_origins):
                detail = (
                    f"pages of {origin!r} may not use this server, which was asked for as {host!r}; add the origin to "
                    "the setting access.allowed_origins if they may, or let the proxy before it pass on the header Host"
                )
                raise RequestRefusedError(HTTPStatus.FORBIDDEN, "origin_refused", detail)

    async def _authenticate(self, scope: Scope, headers: Headers) -> Caller:
        path, for_session = scope["path"], scope["type"] == "websocket"
        if not for_session and (not self._keyed or path in _OPEN_PATHS or path.startswith(_PAGE_PREFIX)):
            return Caller()
        credential = _bearer_credential(headers) if self._keyed else None
        if for_session:
            credential = _subprotocol_token(scope["subprotocols"]) or credential
            if credential is None and not self._keyed:
                return Caller()
        return await self._runtime.require_data().authenticator.authenticate(credential, for_session)

    async def _refuse(self, problem: StatusError, scope: Scope, receive: Receive, send: Send) -> None:
        response = problem_response(problem)
        kind: Literal["request", "session"] = "request" if scope["type"] == "http" else "session"
        self._runtime.telemetry.metrics.record_refusal(kind, problem.code)
        log_event(log, "refused", kind=kind, reason=problem.code, status=problem.status.value)
        if scope["type"] == "http":
            await response(scope, receive, send)
            return
        socket = WebSocket(scope, receive, send)
        await socket.receive()
        if SUBPROTOCOL not in scope["subprotocols"] or problem.status is HTTPStatus.FORBIDDEN:
            await socket.send_denial_response(response)
            return
        # A browser hides the response of a failed handshake from its page, so the refusal is a message instead.
        await socket.accept(SUBPROTOCOL)
        channel = Channel(socket, self._runtime.settings.send_timeout_seconds)
        await close_with_reason(channel, _ending_of(problem))


def allow_origins(app: FastAPI, origins: Sequence[str]) -> None:
    """Let browsers show the server's answers to pages of these origins (CORS); without any, to none but its own."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "HEAD", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Range"],
            expose_headers=["Location", "Retry-After", "Idempotency-Replayed", "Content-Range", "ETag"],
        )


def _bearer_credential(headers: Headers) -> str | None:
    """Return the credential of `Authorization: Bearer`; of several headers none counts."""
    values = headers.getlist("authorization")
    scheme, _, credential = (values[0] if len(values) == 1 else "").partition(" ")
    return credential.strip() or None if scheme.lower() == "bearer" else None


def _subprotocol_token(subprotocols: list[str]) -> str | None:
    """Return the session token among the subprotocols that a browser offers; API keys are not accepted there."""
    tokens = [each for each in subprotocols if each.startswith(TOKEN_SUBPROTOCOL + TOKEN_PREFIX)]
    return tokens[0].removeprefix(TOKEN_SUBPROTOCOL) if tokens else None


def _ending_of(problem: StatusError) -> SessionClosed:
    if problem.status is HTTPStatus.UNAUTHORIZED:
        return unauthorized_ending(str(problem))
    return SessionClosed(CloseCode.BUSY, "busy", ErrorCode.BUSY, str(problem), problem.retry_after)
