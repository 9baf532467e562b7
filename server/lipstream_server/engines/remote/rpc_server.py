"""The engine's process: one engine that answers calls."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

from ..base import EngineError, OutOfMemoryError
from ..interface import RestorableEngine
from .lifeline import end_with_server
from .messages import Call, EngineFacts, Fault
from .streams import StreamTable
from .transport import EngineEnd, Packet

SERVER_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Signals that are meant for the server and that an engine ignores."""
COUNT_STREAMS = "count_streams"
"""A call that every engine's process answers by itself: how many streams it holds."""


class RpcServer:
    """Answers calls with an engine."""

    def __init__(self, pipe: EngineEnd, engine: RestorableEngine, generation: int) -> None:
        self._pipe, self._engine = pipe, engine
        self._streams = StreamTable(engine, generation)

    def answer(self, received: bytes) -> Packet:
        """Run the method of a pickled `Call` and pack its result, or what it raised."""
        try:
            call: Call = self._pipe.unpack(received, self._streams.resolve)
            self._streams.release(call.released)
            return self._pipe.pack(self._run(call), self._streams.references)
        except Exception as error:
            return self._pipe.pack(describe_error(error))

    def _run(self, call: Call) -> object:
        if call.method == COUNT_STREAMS:
            return len(self._streams)
        return getattr(self._engine, call.method)(*call.arguments)


def serve(
    pipe: EngineEnd, lifeline: Connection, make: Callable[[], RestorableEngine], generation: int
) -> None:
    """Load an engine, send its facts, and answer calls until the server closes its end or is gone.

    Args:
        pipe: The engine's end of the pipe.
        lifeline: See `lifeline.py`.
        make: Loads the engine.
        generation: Number of this process, from 1; part of the keys of its streams.
    """
    # The mask of the server's thread is not enough: the fork server, or a thread that an import started, may have another one.
    for each in SERVER_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    end_with_server(lifeline)
    try:
        engine = make()
        message = pipe.pack(EngineFacts.describe(engine))
    except Exception as error:
        pipe.send(describe_error(error))
        return
    server = RpcServer(pipe, engine, generation)
    while True:
        try:
            pipe.send_message(message)
            received = pipe.receive_bytes()
        except (EOFError, OSError):
            return
        message = server.answer(received)


def describe_error(error: Exception) -> object:
    """Return what is sent instead of a result: errors of the engine interface as they are, others as a `Fault`."""
    if isinstance(error, EngineError | OutOfMemoryError):
        # The tracebacks hold the arrays of the failed call, which may fill the device.
        error.__context__ = error.__cause__ = None
        return error.with_traceback(None)
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        return Fault(str(error), code)
    return Fault("".join(traceback.format_exception(error)), None)
