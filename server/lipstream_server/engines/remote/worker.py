"""One process of an engine, from its start to its end: asked, and killed where it takes too long."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.context import ForkServerProcess

from ..base import RestorableEngine
from .host import SPARED, Facts, serve
from .messages import Call, Fault
from .transport import ServerEnd, open_pipe


class LostError(RuntimeError):
    """The process has ended, or took too long and was killed."""


class EngineFaultError(RuntimeError):
    """The engine raised what its seam does not name. exit_code: where the message is meant for who started the server."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        if fault.exit_code is not None:
            self.exit_code = fault.exit_code


@dataclass(eq=False)
class Life:
    """number: counts from 1. Only `kill` may be called by another thread than the one that asks."""

    number: int
    process: ForkServerProcess
    pipe: ServerEnd

    @classmethod
    def begin(cls, make: Callable[[], RestorableEngine], number: int, preload: Sequence[str]) -> Life:
        """make: can be pickled. preload: modules that are imported once, by a process of which every life is a copy; so the
        first start takes as long as it takes to import them, and the next ones do not.
        """
        context = get_context("forkserver")
        context.set_forkserver_preload(list(preload))
        ours, theirs = open_pipe()
        process = context.Process(target=serve, args=(theirs, make, number), name="engine", daemon=True)
        try:
            with _spared():
                process.start()
        finally:
            theirs.close()
        return cls(number, process, ours)

    def facts(self, seconds: float) -> Facts:
        """What it is, once it has loaded. Raises LostError, and what loading raised."""
        facts = self._wait(None, seconds)
        assert isinstance(facts, Facts)
        return facts

    def ask(self, call: Call, seconds: float) -> object:
        """Raises LostError, EngineError, OutOfMemoryError, EngineFaultError."""
        return self._wait(call, seconds)

    def kill(self) -> None:
        """It has nothing to lose."""
        self.process.kill()

    def end(self) -> None:
        self.kill()
        self.process.join()
        self.pipe.close()

    def _wait(self, call: Call | None, seconds: float) -> object:
        until = time.monotonic() + seconds
        try:
            if call is not None:
                self.pipe.send(call, until)
            answer = self.pipe.receive(until)
        except (EOFError, OSError) as error:
            raise LostError(self._fate(call, seconds, isinstance(error, TimeoutError))) from error
        if isinstance(answer, Fault):
            raise EngineFaultError(answer)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _fate(self, call: Call | None, seconds: float, late: bool) -> str:
        self.kill()  # it may have closed its end and live
        self.process.join()
        at = "loading" if call is None else call.name
        if late:
            return f"the engine's process did not end {at} within {seconds:g} s and was killed"
        return f"the engine's process ended with code {self.process.exitcode} at {at}"


@contextmanager
def _spared() -> Iterator[None]:
    """What is started here does not hear signals that are meant for the server: Ctrl-C goes to all processes of a terminal, a
    service manager's SIGTERM to all of the service, and sessions still need their engine then.
    """
    resource_tracker.ensure_running()  # it would unblock them while the first process is started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SPARED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
