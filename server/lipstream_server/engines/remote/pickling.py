"""Pickling with references: objects of some classes are sent as references, and looked up at the other end."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

Resolve = Callable[[Any], object]
"""Returns the object of a reference."""
BufferCallback = Callable[[pickle.PickleBuffer], object]
_Reduced = tuple[Callable[[Any], object], tuple[object]]
_resolve: ContextVar[Resolve] = ContextVar("resolve")  # of the message that is being unpickled


class References(dict[type, Callable[[Any], _Reduced]]):
    """A dispatch table of pickle: says how instances of a class and its subclasses are sent.

    A table is asked once for each class. `Pickler.persistent_id` would be called for every number and string of a message.
    """

    def __init__(self, cls: type, refer: Callable[[Any], object]) -> None:
        """Send instances of `cls` as what `refer` returns for them."""
        super().__init__()
        self._class, self._refer = cls, refer

    def __missing__(self, cls: type) -> Callable[[Any], _Reduced]:
        if not issubclass(cls, self._class):
            raise KeyError(cls)  # pickled as usual
        self[cls] = self._reduce
        return self._reduce

    def _reduce(self, value: object) -> _Reduced:
        return resolve_reference, (self._refer(value),)


def resolve_reference(reference: object) -> object:
    """Return the object of a reference, by the function that `load` was given. Messages name this function."""
    return _resolve.get()(reference)


def dump(
    value: object, references: References | None = None, buffer_callback: BufferCallback | None = None
) -> bytes:
    """Pickle a value; buffers for which the callback returns False are left out."""
    file = io.BytesIO()
    pickler = pickle.Pickler(file, protocol=5, buffer_callback=buffer_callback)
    if references is not None:
        pickler.dispatch_table = references
    pickler.dump(value)
    return file.getvalue()


def load(data: bytes | memoryview, resolve: Resolve | None = None, buffers: Iterable[Any] = ()) -> Any:
    """Unpickle a value that our own process at the other end has sent."""
    if resolve is None:
        return pickle.loads(data, buffers=buffers)  # noqa: S301  # from our own process
    # `Unpickler.find_class` would do without a context, but is called for every class of a message.
    token = _resolve.set(resolve)
    try:
        return pickle.loads(data, buffers=buffers)  # noqa: S301  # from our own process
    finally:
        _resolve.reset(token)
