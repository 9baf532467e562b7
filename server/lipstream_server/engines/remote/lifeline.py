"""The engine's process ends with the server, however the server ends and whatever the engine is doing.

The server holds the writing end of a pipe that nobody ever writes to. When the server is gone, the kernel closes that end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection


def end_with_server(lifeline: Connection) -> None:
    """End this process when the writing end of the lifeline is closed."""
    if sys.platform == "linux":
        _kill_on_hang_up(lifeline.fileno())
    threading.Thread(target=_wait, args=(lifeline,), name="lifeline", daemon=True).start()


def _kill_on_hang_up(pipe: int) -> None:
    """Have the kernel send SIGKILL: a process that is stopped (SIGSTOP) runs no thread of its own, but is killed."""
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)


def _wait(lifeline: Connection) -> None:
    """Wait for the end of the server on other systems, and where it ended before the kernel was asked."""
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    os._exit(1)
