"""How the model's threads wait for each other on a CPU that others use too. Only what is set before PyTorch is loaded counts."""

from __future__ import annotations

from collections.abc import MutableMapping

SPINS = "2000"
"""Some tens of microseconds: longer than threads that all have a core wait for each other, hundreds of times a window."""


def share_cores(environment: MutableMapping[str, str]) -> None:
    """A thread that waits for another one gives its core away soon, unless the user has said how (libgomp's variables).

    By itself it spins for milliseconds. Where another program runs too, the thread that is waited for often has no core just
    then, and whoever spins keeps it from getting one: 1 frame a second instead of 60 beside one busy process (bench/README.md).
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", SPINS)
