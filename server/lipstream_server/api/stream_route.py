"""The WebSocket route of live sessions: from the first message to the close code."""

from __future__ import annotations

import asyncio
import logging
import uuid

from fastapi import APIRouter, WebSocket

from ..auth.caller import Caller
from ..engines.base import (
    EngineGoneError,
    OpenedStream,
    UnknownAvatarError,
    UnknownPresetError,
)
from ..errors import BusyError, UnauthorizedError
from ..observability.logs import log_context, log_event
from ..protocol import (
    PATH,
    SUBPROTOCOL,
    CloseCode,
    ErrorCode,
    Ping,
    Pong,
    SessionClosing,
    SessionEnd,
    SessionStart,
)
from ..sessions.channel import (
    Channel,
    ClientGoneError,
    MessageTooBigError,
    SlowReaderError,
)
from ..sessions.parsing import parse_message
from ..sessions.service import Service
from ..sessions.session import Session
from ..sessions.session_errors import ProtocolError, SessionClosed
from .dependencies import CurrentCaller, CurrentRuntime
from .runtime import Runtime

log = logging.getLogger(__name__)
router = APIRouter()


@router.websocket(PATH)
async def stream(socket: WebSocket, runtime: CurrentRuntime, caller: CurrentCaller) -> None:
    """Run a live session over a WebSocket."""
    await socket.accept(SUBPROTOCOL if SUBPROTOCOL in socket.scope["subprotocols"] else None)
    await serve_session(Channel(socket, runtime.settings.send_timeout_seconds), runtime, caller)


async def serve_session(channel: Channel, runtime: Runtime, caller: Caller) -> None:
    """Serve one client until it leaves or is closed. Raises nothing but cancellation."""
    session_id = uuid.uuid4().hex
    with log_context(session=session_id):
        try:
            await _run_session(session_id, channel, runtime, caller)
        except Exception as error:
            await _close_with_error(channel, error)
        except asyncio.CancelledError:
            await close_with_reason(channel, SessionClosed(CloseCode.GOING_AWAY, "shutdown"))
            raise


async def _run_session(session_id: str, channel: Channel, runtime: Runtime, caller: Caller) -> None:
    """Run a session, which ends by raising. An error before the session starts is counted as a refusal."""
    session: Session | None = None
    telemetry = runtime.telemetry
    try:
        start = caller.restrict(await _receive_start(channel, runtime))
        runtime.refuse_while_draining()
        service, authenticator = runtime.require_service(), runtime.require_data().authenticator
        with (
            authenticator.session_slot(caller) as grant,
            telemetry.drain.session(),
            service.session_slot(start.avatar),
        ):
            opened = await _open_stream(service, start, caller)
            session = Session(session_id, channel, service, start, opened, grant)
            await session.run()
    except BaseException as error:
        reason = reason_of(error)
        if session is not None:
            session.telemetry.record_end(reason)
        elif isinstance(error, BusyError | SessionClosed | UnauthorizedError) and reason != "ended":
            telemetry.metrics.record_refusal("session", reason)
            log_event(log, "refused", kind="session", reason=reason)
        raise


def reason_of(error: BaseException) -> str:
    """Return one word for why a session ended or was refused."""
    match error:
        case BusyError():
            return error.reason
        case UnauthorizedError():
            return "unauthorized"
        case SessionClosed():
            return error.reason if error.error is None else error.error.code.value
        case ClientGoneError():
            return "gone"
        case SlowReaderError():
            return "slow_reader"
        case MessageTooBigError():
            return "too_big"
        case EngineGoneError():
            return "engine_lost"
        case asyncio.CancelledError():
            return "shutdown"
        case _:
            return "internal"


async def _close_with_error(channel: Channel, error: Exception) -> None:
    """Send the client what it can still receive, and close."""
    match error:
        case ClientGoneError():
            return
        case SlowReaderError():  # it would not receive a message either
            await channel.close(CloseCode.SLOW_READER, "slow_reader")
        case MessageTooBigError():
            await channel.close(CloseCode.TOO_BIG, "too_big")
        case BusyError():
            busy = SessionClosed(CloseCode.BUSY, "busy", ErrorCode.BUSY, str(error), error.retry_after)
            await close_with_reason(channel, busy)
        case UnauthorizedError():
            await close_with_reason(channel, unauthorized_ending(str(error)))
        case SessionClosed():
            await close_with_reason(channel, error)
        case EngineGoneError():
            text = "the engine cannot be brought back; another session is possible once the server has been restarted"
            ending = SessionClosed(CloseCode.INTERNAL, "engine_lost", ErrorCode.ENGINE_LOST, text)
            await close_with_reason(channel, ending)
        case _:
            log.error("a session failed", exc_info=error)
            text = "the server made a mistake; the session cannot go on"
            ending = SessionClosed(CloseCode.INTERNAL, "internal", ErrorCode.INTERNAL, text)
            await close_with_reason(channel, ending)


def unauthorized_ending(text: str) -> SessionClosed:
    """Return the end of a session whose credential is not, or not any more, valid."""
    return SessionClosed(CloseCode.UNAUTHORIZED, "unauthorized", ErrorCode.UNAUTHORIZED, text)


async def _receive_start(channel: Channel, runtime: Runtime) -> SessionStart:
    """Wait for session.start. Every other message but a ping is an error."""
    settings, errors = runtime.settings, 0
    try:
        async with asyncio.timeout(settings.start_timeout_seconds):
            while True:
                message = await channel.receive()
                try:
                    match None if isinstance(message, bytes) else parse_message(message):
                        case SessionStart() as start:
                            return start
                        case Ping() as ping:
                            await channel.send(Pong(id=ping.id))
                        case SessionEnd():
                            raise SessionClosed(CloseCode.NORMAL, "ended")
                        case _:
                            raise ProtocolError(ErrorCode.NOT_STARTED, "the first message is session.start")
                except ProtocolError as complaint:
                    errors += 1
                    if errors > settings.max_client_errors:
                        raise SessionClosed(
                            CloseCode.PROTOCOL, "protocol", ErrorCode.TOO_MANY_ERRORS, str(complaint)
                        ) from None
                    await channel.send(complaint.to_message())
    except TimeoutError:
        raise SessionClosed(CloseCode.IDLE, "idle", ErrorCode.NOT_STARTED, "no session.start came") from None


async def _open_stream(service: Service, start: SessionStart, caller: Caller) -> OpenedStream:
    try:
        if start.avatar is not None:
            await service.avatars.get(start.avatar, caller.owner)
        return await service.open_stream(start.avatar, start.preset)
    except UnknownAvatarError as error:
        raise SessionClosed(CloseCode.UNKNOWN, "unknown", ErrorCode.UNKNOWN_AVATAR, str(error)) from error
    except UnknownPresetError as error:
        raise SessionClosed(CloseCode.UNKNOWN, "unknown", ErrorCode.UNKNOWN_PRESET, str(error)) from error


async def close_with_reason(channel: Channel, ending: SessionClosed) -> None:
    """Send the error, if there is one, and session.closing; then close the connection."""
    closing = SessionClosing(reason=ending.reason)
    try:
        if ending.error is None:
            await channel.send(closing)
        else:
            await channel.send(ending.error, closing)
    except (ClientGoneError, SlowReaderError):
        return
    await channel.close(ending.close, ending.reason)
