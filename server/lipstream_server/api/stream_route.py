"""A connection from its first message to its close code."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable

from ..auth.authenticator import Access
from ..auth.caller import Caller
from ..busy import BusyError
from ..config.settings import ServerSettings
from ..engines.base import (
    EngineGoneError,
    Opened,
    UnknownAvatarError,
    UnknownPresetError,
)
from ..observability.logs import about, log_event
from ..observability.telemetry import Telemetry
from ..protocol import (
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
    GoneError,
    SlowReaderError,
    TooBigError,
)
from ..sessions.ending import ProtocolError, SessionClosed
from ..sessions.parsing import parse
from ..sessions.service import Service, busy
from ..sessions.session import Session

log = logging.getLogger(__name__)


async def serve(
    channel: Channel,
    settings: ServerSettings,
    telemetry: Telemetry,
    find: Callable[[], Service | None],
    caller: Caller,
    access: Callable[[], Access],
) -> None:
    """Speak with one client until it goes or is sent away. Raises nothing but cancellation.

    find: the service, None while its model is being loaded. caller: who the client is. access: asked for once the service is there.
    """
    id = uuid.uuid4().hex
    with about(session=id):
        try:
            await _serve(id, channel, settings, telemetry, find, caller, access)
        except Exception as error:
            await _send_away(channel, error)
        except asyncio.CancelledError:
            await farewell(channel, SessionClosed(CloseCode.GOING_AWAY, "shutdown"))
            raise


async def _serve(
    id: str,
    channel: Channel,
    settings: ServerSettings,
    telemetry: Telemetry,
    find: Callable[[], Service | None],
    caller: Caller,
    access: Callable[[], Access],
) -> None:
    """Always ends by raising: an error before the session began is a refusal, and counted as one."""
    session: Session | None = None
    try:
        start = caller.start(await _greet(channel, settings))
        service = find()
        if telemetry.drain.begun:
            raise BusyError("the server is stopping", settings.retry_seconds, "draining")
        if service is None or not service.ready:
            raise busy(service, settings.retry_seconds)
        with access().session(caller) as lease, telemetry.drain.session(), service.place(start.avatar):
            opened = await _open(service, start, caller)
            session = Session(id, channel, service, start, opened, lease)
            await session.run()
    except BaseException as error:
        if session is not None:
            session.telemetry.record_end(reason_of(error))
        elif isinstance(error, BusyError | SessionClosed) and reason_of(error) != "ended":
            telemetry.metrics.record_refusal("session", reason_of(error))
            log_event(log, "refused", kind="session", reason=reason_of(error))
        raise


def reason_of(error: BaseException) -> str:
    """Why a session ended or was refused, in a word."""
    match error:
        case BusyError():
            return error.reason
        case SessionClosed():
            return error.reason if error.error is None else error.error.code.value
        case GoneError():
            return "gone"
        case SlowReaderError():
            return "slow_reader"
        case TooBigError():
            return "too_big"
        case EngineGoneError():
            return "engine_lost"
        case asyncio.CancelledError():
            return "shutdown"
        case _:
            return "internal"


async def _send_away(channel: Channel, error: Exception) -> None:
    """Tell the client what it can still be told, and close."""
    match error:
        case GoneError():
            return
        case SlowReaderError():
            # It takes nothing, not even a farewell.
            await channel.close(CloseCode.SLOW_READER, "slow_reader")
        case TooBigError():
            await channel.close(CloseCode.TOO_BIG, "too_big")
        case BusyError():
            full = SessionClosed(CloseCode.BUSY, "busy", ErrorCode.BUSY, str(error), error.retry_after)
            await farewell(channel, full)
        case SessionClosed():
            await farewell(channel, error)
        case EngineGoneError():
            text = "the engine cannot be brought back; another session is possible once the server has been restarted"
            await farewell(
                channel, SessionClosed(CloseCode.INTERNAL, "engine_lost", ErrorCode.ENGINE_LOST, text)
            )
        case _:
            log.error("a session failed", exc_info=error)
            text = "the server made a mistake; the session cannot go on"
            await farewell(channel, SessionClosed(CloseCode.INTERNAL, "internal", ErrorCode.INTERNAL, text))


async def _greet(channel: Channel, settings: ServerSettings) -> SessionStart:
    """Wait for session.start; all else but a ping is a mistake."""
    mistakes = 0
    try:
        async with asyncio.timeout(settings.hello_seconds):
            while True:
                message = await channel.receive()
                try:
                    match None if isinstance(message, bytes) else parse(message):
                        case SessionStart() as start:
                            return start
                        case Ping() as ping:
                            await channel.send(Pong(id=ping.id))
                        case SessionEnd():
                            raise SessionClosed(CloseCode.NORMAL, "ended")
                        case _:
                            raise ProtocolError(ErrorCode.NOT_STARTED, "the first message is session.start")
                except ProtocolError as complaint:
                    mistakes += 1
                    if mistakes > settings.errors:
                        raise SessionClosed(
                            CloseCode.PROTOCOL, "protocol", ErrorCode.TOO_MANY_ERRORS, str(complaint)
                        ) from None
                    await channel.send(complaint.message())
    except TimeoutError:
        raise SessionClosed(CloseCode.IDLE, "idle", ErrorCode.NOT_STARTED, "no session.start came") from None


async def _open(service: Service, start: SessionStart, caller: Caller) -> Opened:
    try:
        if start.avatar is not None:
            await service.avatars.get(start.avatar, caller.owner)
        return await service.open(start.avatar, start.preset)
    except UnknownAvatarError as error:
        raise SessionClosed(CloseCode.UNKNOWN, "unknown", ErrorCode.UNKNOWN_AVATAR, str(error)) from error
    except UnknownPresetError as error:
        raise SessionClosed(CloseCode.UNKNOWN, "unknown", ErrorCode.UNKNOWN_PRESET, str(error)) from error


async def farewell(channel: Channel, ending: SessionClosed) -> None:
    """Say why, and close."""
    closing = SessionClosing(reason=ending.reason)
    try:
        if ending.error is None:
            await channel.send(closing)
        else:
            await channel.send(ending.error, closing)
    except (GoneError, SlowReaderError):
        return
    await channel.close(ending.close, ending.reason)
