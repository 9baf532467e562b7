"""OpenMP settings for CPUs that other programs use too. They count only if set before PyTorch is loaded."""

from __future__ import annotations

import os

SPIN_COUNT = "2000"
"""Some tens of microseconds: longer than threads that all have a core wait for each other, hundreds of times a window."""


def tune_openmp() -> None:
    """Let waiting threads yield their core soon (libgomp), unless the environment sets a policy.

    By default they spin for milliseconds. Beside another busy process the thread that is waited for often has no core, and
    the spinning threads keep it from getting one: 1 frame a second instead of 60 (bench/README.md).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
