"""Settings as text: what `lipstream config` prints, and environment files such as docker/.env.example."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from .sources import DEFAULT, LoadedSettings, variable

_WIDTH = 110


def toml_lines(loaded: LoadedSettings, explain: bool = False) -> Iterator[str]:
    """Yield every setting as TOML that `--config` takes, and its origin as a comment.

    What is not set, and what is secret, is commented out, so that the lines can be read again.
    """
    for key, field, value, origin in loaded:
        if explain:
            yield ""
            yield from _comment(f"{field.description} ({variable(key)})")
        text = toml_value(value)
        unset = "(not set)" if value is None else "(secret)"
        yield f"# {key} = {unset}  # {origin}" if text is None else f"{key} = {text}  # {origin}"


def env_lines(loaded: LoadedSettings, without: Collection[str] = ()) -> Iterator[str]:
    """Yield every setting but `without` as an explained variable; defaults and secrets are commented out."""
    for key, field, value, origin in loaded:
        if key not in without:
            yield ""
            yield from _comment(field.description or "")
            hidden = origin == DEFAULT or isinstance(value, SecretStr)
            yield f"{'#' if hidden else ''}{variable(key)}={env_value(value)}"


def toml_value(value: Any) -> str | None:
    """Return a value in TOML; None for one that TOML does not have, or that must not be shown."""
    match value:
        case None | SecretStr():
            return None
        case bool():
            return str(value).lower()
        case tuple():
            return f"[{', '.join(toml_value(each) or '' for each in value)}]"
        case Path() | str():
            return json.dumps(str(value), ensure_ascii=False)
        case _:
            return str(value)


def env_value(value: Any) -> str:
    """Return a value as the environment has it; nothing for one that is not set or must not be shown."""
    match value:
        case None | SecretStr():
            return ""
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(env_value(each) for each in value)
        case _:
            return str(value)


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH, break_on_hyphens=False)]
