"""Several processes that train one model, one thread each.

On a few CPU cores this is worth twice as much as threads: the steps are many small operations, and threads spend their time waiting
for each other at the end of each.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Workers:
    """This process among ``count``; a single one needs no process group."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """The same gradients for all: their mean. All workers must have gradients for the same parameters."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def agree(self, decision: bool) -> bool:
        """What the first worker decides."""
        if self.count == 1:
            return decision
        shared: Tensor = torch.tensor([int(decision)])
        dist.broadcast(shared, 0)
        return bool(shared)


ALONE = Workers()


def launch(count: int, work: Callable[[Workers], None]) -> None:
    """Runs ``work`` in ``count`` processes (in this one, if it is one). ``work`` must be picklable."""
    if count == 1:
        work(ALONE)
        return
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder) / "meeting"
        processes = [
            context.Process(target=_worker, args=(rank, count, meeting, work)) for rank in range(count)
        ]
        # Told to stop, this process takes its workers along.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            for process in processes:
                process.start()
            for process in processes:
                process.join()
        finally:
            for process in processes:
                process.terminate()
    if any(process.exitcode for process in processes):
        raise SystemExit("a training process failed; mend what it says above and give the command again")


def _worker(rank: int, count: int, meeting: Path, work: Callable[[Workers], None]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
    try:
        work(Workers(rank, count))
    finally:
        dist.destroy_process_group()
