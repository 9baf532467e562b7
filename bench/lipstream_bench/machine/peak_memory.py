"""Peak memory of the tensors of a computation, independent of the allocator."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PeakMemory(TorchDispatchMode):
    """A context manager that measures the peak of all storages allocated inside it.

    Tensors from input_storages (weights, conditions) do not count. It slows operations down, so nothing is timed in it.

    Attributes:
        peak: Bytes.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._allocated = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        inputs = tree_leaves((args, kwargs or {}))
        input_storages = {leaf.untyped_storage()._cdata for leaf in inputs if isinstance(leaf, torch.Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf.untyped_storage(), input_storages)
        return result

    def _count(self, storage: torch.UntypedStorage, input_storages: set[int]) -> None:
        key = storage._cdata
        if key in input_storages or key in self._known:
            return
        self._known.add(key)
        size = storage.nbytes()
        self._allocated += size
        self.peak = max(self.peak, self._allocated)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._allocated -= size
