"""The settings as an environment file, of which docker/.env.example is one."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator
from typing import Any

from pydantic import SecretStr

from .effective import Effective, variable

_WIDTH = 118


def env_lines(found: Effective[Any], without: Collection[str] = ()) -> Iterator[str]:
    """Every setting but `without`, explained; defaults and secrets are commented out."""
    for key, leaf in found.leaves.items():
        if key in without:
            continue
        yield ""
        yield from (f"# {line}" for line in textwrap.wrap(f"{leaf.description}.", _WIDTH))
        given = found.given.get(key)
        value = leaf.default if given is None else given.value
        quiet = given is None or isinstance(value, SecretStr)
        yield f"{'#' if quiet else ''}{variable(key)}={env_value(value)}"


def env_value(value: Any) -> str:
    """As `effective` reads it; nothing for what is not set or must not be shown."""
    match value:
        case None | SecretStr():
            return ""
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(env_value(each) for each in value)
        case _:
            return str(value)
