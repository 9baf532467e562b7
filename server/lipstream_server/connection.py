"""A connection from its first message to its close code."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from .access import Access
from .busy import BusyError
from .caller import Caller
from .channel import Channel, GoneError, SlowReaderError, TooBigError
from .ending import Complaint, Ending
from .engine import Opened, UnknownAvatarError, UnknownPresetError
from .parsing import parse
from .protocol import CloseCode, ErrorCode, Ping, Pong, SessionClosing, SessionEnd, SessionStart
from .service import Service
from .session import Session
from .settings import ServerSettings

log = logging.getLogger(__name__)


async def serve(
    channel: Channel,
    settings: ServerSettings,
    find: Callable[[], Service | None],
    caller: Caller,
    access: Callable[[], Access],
) -> None:
    """Speak with one client until it goes or is sent away. Raises nothing but cancellation.

    find: the service, None while its model is being loaded. caller: who the client is. access: asked for once the service is there.
    """
    try:
        start = caller.start(await _greet(channel, settings))
        service = find()
        if service is None or not service.ready:
            raise BusyError("the model is being loaded", settings.retry_seconds)
        with access().session(caller) as lease, service.place(start.avatar):
            opened = await _open(service, start, caller)
            await Session(channel, service, start, opened, lease).run()
    except GoneError:
        return
    except SlowReaderError:
        # It takes nothing, not even a farewell.
        await channel.close(CloseCode.SLOW_READER, "slow_reader")
    except TooBigError:
        await channel.close(CloseCode.TOO_BIG, "too_big")
    except BusyError as error:
        await farewell(channel, Ending(CloseCode.BUSY, "busy", ErrorCode.BUSY, str(error), error.retry_after))
    except Ending as ending:
        await farewell(channel, ending)
    except asyncio.CancelledError:
        await farewell(channel, Ending(CloseCode.GOING_AWAY, "shutdown"))
        raise
    except Exception:
        log.exception("a session failed")
        text = "the server made a mistake; the session cannot go on"
        await farewell(channel, Ending(CloseCode.INTERNAL, "internal", ErrorCode.INTERNAL, text))


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


async def _open(service: Service, start: SessionStart, caller: Caller) -> Opened:
    try:
        if start.avatar is not None:
            await service.avatars.get(start.avatar, caller.owner)
        return await service.open(start.avatar, start.preset)
    except UnknownAvatarError as error:
        raise Ending(CloseCode.UNKNOWN, "unknown", ErrorCode.UNKNOWN_AVATAR, str(error)) from error
    except UnknownPresetError as error:
        raise Ending(CloseCode.UNKNOWN, "unknown", ErrorCode.UNKNOWN_PRESET, str(error)) from error


async def farewell(channel: Channel, ending: Ending) -> None:
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
