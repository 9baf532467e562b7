"""Several processes that train one model on a CPU, one thread each.

On a few cores, processes give twice the throughput of threads: a step consists of many small operations, and threads
wait for each other at the end of each.

The processes are spawned here instead of by torchrun, because the same call also shares out work without gradients
(`stages.encode_clips`) and runs in this process when there is one worker.
"""

from __future__ import annotations

import multiprocessing
import os
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
    """This process, number ``rank`` of ``count``; a single one needs no process group."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the worker that logs and saves."""
        return self.rank == 0

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace the gradients by their mean over all workers.

        All workers must have gradients for the same parameters.
        """
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def agree(self, decision: bool) -> bool:
        """Return the first worker's decision to all."""
        if self.count == 1:
            return decision
        shared: Tensor = torch.tensor([int(decision)])
        dist.broadcast(shared, 0)
        return bool(shared)


ALONE = Workers()


def default_workers(device: str) -> int:
    """Return the number of workers for a device: one for each core of a CPU, one for a GPU."""
    return (os.cpu_count() or 1) if device == "cpu" else 1


def launch(count: int, work: Callable[[Workers], None]) -> None:
    """Run picklable ``work`` in ``count`` processes, or in this one if the count is 1.

    Raises:
        SystemExit: One of the processes failed.
    """
    if count == 1:
        work(ALONE)
        return
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = Path(folder) / "rendezvous"
        processes = [
            context.Process(target=_run_worker, args=(rank, count, rendezvous, work)) for rank in range(count)
        ]
        # Turns SIGTERM into an exception, so that the workers are terminated too.
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
        raise SystemExit(
            "a training process failed; see its error above, then give the command again to resume"
        )


def _run_worker(rank: int, count: int, rendezvous: Path, work: Callable[[Workers], None]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=count)
    try:
        work(Workers(rank, count))
    finally:
        dist.destroy_process_group()
