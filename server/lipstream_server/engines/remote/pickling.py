"""Pickling with references: some objects are sent as references, and looked up at the other end."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable
from typing import Any

Refer = Callable[[object], object]
"""Returns the reference that is sent instead of an object; None to send the object itself."""
Resolve = Callable[[Any], object]
"""Returns the object of a reference."""


class _Pickler(pickle.Pickler):
    def __init__(
        self, file: io.BytesIO, refer: Refer, buffer_callback: Callable[[pickle.PickleBuffer], object] | None
    ) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)
        self._refer = refer

    def persistent_id(self, value: object) -> object:
        return self._refer(value)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, resolve: Resolve, buffers: Iterable[Any]) -> None:
        super().__init__(file, buffers=buffers)
        self._resolve = resolve

    def persistent_load(self, reference: Any) -> object:
        return self._resolve(reference)


def dump(
    value: object,
    refer: Refer | None = None,
    buffer_callback: Callable[[pickle.PickleBuffer], object] | None = None,
) -> bytes:
    """Pickle a value; buffers for which the callback returns False are left out."""
    if refer is None:
        return pickle.dumps(value, protocol=5, buffer_callback=buffer_callback)
    file = io.BytesIO()
    _Pickler(file, refer, buffer_callback).dump(value)
    return file.getvalue()


def load(data: bytes | memoryview, resolve: Resolve | None = None, buffers: Iterable[Any] = ()) -> Any:
    """Unpickle a value that our own process at the other end has sent."""
    if resolve is None:
        return pickle.loads(data, buffers=buffers)  # noqa: S301  # from our own process
    return _Unpickler(io.BytesIO(data), resolve, buffers).load()
