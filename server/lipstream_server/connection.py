"""A connection from its first message to its close code."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from .busy import BusyError
from .channel import Channel, GoneError, SlowReaderError, TooBigError
from .ending import Complaint, Ending
from .engine import EngineGoneError, Opened, UnknownAvatarError, UnknownPresetError
from .parsing import parse
from .protocol import CloseCode, ErrorCode, Ping, Pong, SessionClosing, SessionEnd, SessionStart
from .service import Service, unready
from .session import Session
from .settings import ServerSettings

log = logging.getLogger(__name__)


async def serve(channel: Channel, settings: ServerSettings, find: Callable[[], Service | None]) -> None:
    """Speak with one client until it goes or is sent away. Raises nothing but cancellation.

    find: the service, None while its model is being loaded.
    """
    try:
        start = await _greet(channel, settings)
        service = find()
        if service is None or not service.ready:
            raise BusyError(unready(service), settings.retry_seconds)
        with service.place(start.avatar):
            opened = await _open(service, start)
            await Session(channel, service, start, opened).run()
    except GoneError:
        return
    except SlowReaderError:
        # It takes nothing, not even a farewell.
        await channel.close(CloseCode.SLOW_READER, "slow_reader")
    except TooBigError:
        await channel.close(CloseCode.TOO_BIG, "too_big")
    except BusyError as error:
        await _farewell(
            channel, Ending(CloseCode.BUSY, "busy", ErrorCode.BUSY, str(error), error.retry_after)
        )
    except Ending as ending:
        await _farewell(channel, ending)
    except EngineGoneError:
        text = "the engine cannot be brought back; another session is possible once the server has been restarted"
        await _farewell(channel, Ending(CloseCode.INTERNAL, "engine_lost", ErrorCode.ENGINE_LOST, text))
    except asyncio.CancelledError:
        await _farewell(channel, Ending(CloseCode.GOING_AWAY, "shutdown"))
        raise
    except Exception:
        log.exception("a session failed")
        text = "the server made a mistake; the session cannot go on"
        await _farewell(channel, Ending(CloseCode.INTERNAL, "internal", ErrorCode.INTERNAL, text))


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
                            raise Ending(CloseCode.NORMAL, "ended")
                        case _:
                            raise Complaint(ErrorCode.NOT_STARTED, "the first message is session.start")
                except Complaint as complaint:
                    mistakes += 1
                    if mistakes > settings.errors:
                        raise Ending(
                            CloseCode.PROTOCOL, "protocol", ErrorCode.TOO_MANY_ERRORS, str(complaint)
                        ) from None
                    await channel.send(complaint.message())
    except TimeoutError:
        raise Ending(CloseCode.IDLE, "idle", ErrorCode.NOT_STARTED, "no session.start came") from None


async def _open(service: Service, start: SessionStart) -> Opened:
    try:
        return await service.open(start.avatar, start.preset)
    except UnknownAvatarError as error:
        raise Ending(CloseCode.UNKNOWN, "unknown", ErrorCode.UNKNOWN_AVATAR, str(error)) from error
    except UnknownPresetError as error:
        raise Ending(CloseCode.UNKNOWN, "unknown", ErrorCode.UNKNOWN_PRESET, str(error)) from error


async def _farewell(channel: Channel, ending: Ending) -> None:
    closing = SessionClosing(reason=ending.reason)
    try:
        if ending.error is None:
            await channel.send(closing)
        else:
            await channel.send(ending.error, closing)
    except (GoneError, SlowReaderError):
        return
    await channel.close(ending.close, ending.reason)
