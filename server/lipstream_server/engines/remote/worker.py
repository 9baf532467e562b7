"""One process of an engine, from its start to its end: called, and killed where it takes too long."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

from ..interface import RestorableEngine
from .messages import Call, EngineFacts, Fault
from .rpc_server import SERVER_SIGNALS, serve
from .streams import RemoteStreams
from .transport import ServerEnd, open_pipe


class WorkerDiedError(RuntimeError):
    """The process has ended, or took too long and was killed."""


class EngineFaultError(RuntimeError):
    """The engine raised an exception that its interface does not name.

    Attributes:
        exit_code: Only where the message is meant for whoever started the server.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        if fault.exit_code is not None:
            self.exit_code = fault.exit_code


@dataclass(eq=False)
class EngineWorker:
    """A process that runs an engine. Only `kill` may be called by another thread than the one that calls the engine.

    Attributes:
        generation: Number of the process, from 1.
        process: The process.
        pipe: The server's end of the pipe.
        lifeline: Closed when the server ends, see `lifeline.py`.
        streams: Streams that the server holds.
    """

    generation: int
    process: ForkServerProcess
    pipe: ServerEnd
    lifeline: Connection
    streams: RemoteStreams

    @classmethod
    def start(
        cls,
        make: Callable[[], RestorableEngine],
        generation: int,
        preload: Sequence[str],
        streams: RemoteStreams,
    ) -> EngineWorker:
        """Start a process.

        Args:
            make: Loads the engine; picklable.
            generation: Number of the process.
            preload: Modules that the fork server imports once, which makes every start but the first one fast.
            streams: Streams that the server holds.
        """
        context = get_context("forkserver")
        context.set_forkserver_preload(list(preload))
        ours, theirs = open_pipe()
        reader, lifeline = context.Pipe(duplex=False)
        process = context.Process(
            target=serve, args=(theirs, reader, make, generation), name="engine", daemon=True
        )
        try:
            with _server_signals_blocked():
                process.start()
        finally:
            theirs.close()
            reader.close()
        return cls(generation, process, ours, lifeline, streams)

    def receive_facts(self, timeout: float) -> EngineFacts:
        """Return the facts of the engine, once it has loaded. Raises WorkerDiedError, and what loading raised."""
        facts = self._exchange(None, timeout)
        assert isinstance(facts, EngineFacts)
        return facts

    def call(self, method: str, arguments: Sequence[object], timeout: float) -> Any:
        """Run a method of the engine.

        Raises:
            WorkerDiedError: The process ended, or did not answer in time and was killed.
            EngineError: As the method raised it.
            OutOfMemoryError: As the method raised it.
            EngineFaultError: The method raised anything else.
        """
        return self._exchange(Call(method, tuple(arguments), self.streams.take_released()), timeout)

    def kill(self) -> None:
        """Kill the process; all that matters of its state is on the server's side."""
        self.process.kill()

    def end(self) -> None:
        """Kill the process and release its resources."""
        self.kill()
        self.process.join()
        self.pipe.close()
        self.lifeline.close()

    def _exchange(self, call: Call | None, timeout: float) -> Any:
        deadline = time.monotonic() + timeout
        try:
            if call is not None:
                self.pipe.send(call, deadline, partial(self.streams.refer, generation=self.generation))
            result = self.pipe.receive(deadline, self.streams.resolve)
        except (EOFError, OSError) as error:
            raise WorkerDiedError(
                self._cause_of_death(call, timeout, isinstance(error, TimeoutError))
            ) from error
        if isinstance(result, Fault):
            raise EngineFaultError(result)
        if isinstance(result, Exception):
            raise result
        return result

    def _cause_of_death(self, call: Call | None, timeout: float, timed_out: bool) -> str:
        self.kill()  # it may have closed its end and be alive
        self.process.join()
        doing = "loading" if call is None else call.method
        if timed_out:
            return f"the engine's process did not end {doing} within {timeout:g} s and was killed"
        return f"the engine's process ended with code {self.process.exitcode} at {doing}"


@contextmanager
def _server_signals_blocked() -> Iterator[None]:
    """Block signals that are meant for the server in processes that are started meanwhile.

    Ctrl-C reaches all processes of a terminal, a service manager's SIGTERM all of a service; sessions that are drained still need
    their engine then.
    """
    resource_tracker.ensure_running()  # it would unblock them while the first process is started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SERVER_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
