"""Methods that are the same for every method of an interface: run it somewhere else."""

from __future__ import annotations

from abc import update_abstractmethods
from collections.abc import Callable
from typing import Any, Protocol, TypeVar


class RemoteCaller(Protocol):
    """Something that can run a method somewhere else."""

    def call(self, method: str, *arguments: object) -> Any:
        """Run the method of this name and return its result."""


T = TypeVar("T", bound=type[RemoteCaller])


def forward_abstract_methods(cls: T) -> T:
    """Implement every abstract method of a class by its `call`. A class decorator."""
    for name in cls.__abstractmethods__:
        setattr(cls, name, _forwarder(name))
    update_abstractmethods(cls)
    return cls


def _forwarder(name: str) -> Callable[..., Any]:
    def forward(self: RemoteCaller, *arguments: object) -> Any:
        return self.call(name, *arguments)

    forward.__name__ = name
    return forward
