"""The engine's process ends with the server, however that ends, and whatever the engine is at."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from multiprocessing import forkserver, parent_process

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def follow_parent() -> None:
    """For a process that multiprocessing's fork server has copied, at its beginning."""
    if sys.platform == "linux":
        _follow_fork_server()
    threading.Thread(target=_wait, name="parent", daemon=True).start()


def _wait() -> None:
    """A server that was killed cannot tell; an engine in the middle of a window would not see it either."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _follow_fork_server() -> None:
    """A process that stands still (SIGSTOP) notices nothing, but the system kills it when the one that it was copied from ends.

    That ends as soon as nobody has the pipe open that tells it that it is needed; every copy gets it and has no use for it.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    alive = getattr(forkserver._forkserver, "_forkserver_alive_fd", None)
    if alive is not None:
        os.close(alive)
        setattr(forkserver._forkserver, "_forkserver_alive_fd", None)  # noqa: B010  # it is not typed
