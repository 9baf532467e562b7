"""The effective settings: defaults, a TOML file, the environment and flags, the later ones first, and where each came from.

The one place of the server that reads the environment's `LIPSTREAM_` variables.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, Union, get_args, get_origin

from pydantic import SecretStr, TypeAdapter, ValidationError

from .setting_tree import (
    Leaf,
    build,
    leaves,
    sensible,
)

T = TypeVar("T")
PREFIX = "LIPSTREAM_"
FILE_VARIABLE = "LIPSTREAM_CONFIG"
OTHERS = frozenset({FILE_VARIABLE, "LIPSTREAM_KEY"})
"""Variables that are no settings of the server: where its file is, and the key of the client."""
DEFAULT = "default"
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "Path": "a path",
}


class SettingsError(ValueError):
    """A setting cannot be used; see lipstream_client/cli.py for `exit_code`."""

    exit_code = 2


@dataclass(frozen=True)
class Given:
    """What somebody set. origin: a file, a variable, a flag, for people."""

    value: Any
    origin: str


@dataclass(frozen=True)
class Effective(Generic[T]):
    """settings: the whole tree. given: by key, what is not a default."""

    settings: T
    leaves: Mapping[str, Leaf]
    given: Mapping[str, Given]


def effective(
    kind: type[T], flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None
) -> Effective[T]:
    """kind: a tree of dataclasses. flags: by key, with `__` for its dots; None where not given.
    file: or the one that the environment names.

    Raises SettingsError, and OSError where the file cannot be read.
    """
    known = leaves(kind)
    named = environment.get(FILE_VARIABLE)
    path = file or (Path(named) if named else None)
    given = from_file(path, known) if path is not None else {}
    given |= from_environment(environment, known)
    told = {name.replace("__", "."): value for name, value in flags.items() if value is not None}
    given |= {key: Given(value, flag(key)) for key, value in told.items()}
    values = {key: each.value for key, each in given.items()}
    try:
        settings = build(kind, values)
    except ValueError as error:
        meant = [each for key, each in given.items() if key in str(error) or str(each.value) in str(error)]
        origins = dict.fromkeys(each.origin for each in meant or given.values())
        raise SettingsError(f"{error} (set by {', '.join(origins)})") from error
    return Effective(settings, known, given)


def from_file(path: Path, known: Mapping[str, Leaf]) -> dict[str, Given]:
    """Raises SettingsError, OSError."""
    try:
        tables = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no TOML: {error}") from error
    given = {}
    for key, value in _flat(tables, known):
        if key not in known:
            raise SettingsError(f"{path}: {_unknown(key, list(known))}")
        # JSON, because its lists and texts may become tuples and paths, while "8000" does not become a number.
        given[key] = _checked(known[key], json.dumps(value, default=str), value, str(path), True)
    return given


def from_environment(environment: Mapping[str, str], known: Mapping[str, Leaf]) -> dict[str, Given]:
    """`LIPSTREAM_CLIPS__KEEP_SECONDS` is `clips.keep_seconds`; an empty variable is one that is not set. Raises SettingsError."""
    names = {variable(key): key for key in known}
    given = {}
    for name, text in environment.items():
        if not name.startswith(PREFIX) or name in OTHERS or not text:
            continue
        if name not in names:
            raise SettingsError(f"the environment: {_unknown(name, [*names, *OTHERS])}")
        leaf = known[names[name]]
        value = [each.strip() for each in text.split(",")] if get_origin(_some(leaf.kind)) is tuple else text
        given[leaf.key] = _checked(leaf, value, text, name, False)
    return given


def variable(key: str) -> str:
    """The name of a setting in the environment."""
    return PREFIX + key.replace(".", "__").upper()


def flag(key: str) -> str:
    """The name of a setting on the command line."""
    return "--" + re.sub(r"[._]", "-", key)


def _flat(
    tables: Mapping[str, Any], known: Mapping[str, Leaf], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    for name, value in tables.items():
        key = prefix + name
        if isinstance(value, dict) and key not in known:
            yield from _flat(value, known, f"{key}.") if value else ()
        else:
            yield key, value


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return f"there is no setting {name!r}; the nearest one is {near[0]!r}, `lipstream config` prints all"


def _checked(leaf: Leaf, value: Any, told: Any, origin: str, strict: bool) -> Given:
    adapter = TypeAdapter(leaf.kind)
    try:
        checked = (
            adapter.validate_json(value, strict=True)
            if strict
            else adapter.validate_python(value, strict=False)
        )
    except ValidationError:
        checked, right = None, False
    else:
        right = sensible(checked)
    if not right:
        shown = "a value that is not shown" if secret(leaf) else repr(told)
        raise SettingsError(f"{origin}: {leaf.key} takes {expected(leaf.kind)}, got {shown}")
    return Given(checked, origin)


def secret(leaf: Leaf) -> bool:
    return _some(leaf.kind) is SecretStr


def expected(kind: Any) -> str:
    """A type, for people."""
    kind = _some(kind)
    if get_origin(kind) is tuple:
        items = [each for each in get_args(kind) if each is not Ellipsis]
        of = expected(items[0]).removeprefix("a ").removeprefix("whole ")
        many = "a list" if Ellipsis in get_args(kind) else f"a list of {len(items)}"
        return f"{many} ({of}s)"
    if values := get_args(kind):
        return f"one of {', '.join(map(repr, values))}"
    return _KINDS.get(getattr(kind, "__name__", ""), "a text")


def _some(kind: Any) -> Any:
    """Without None, which is said by saying nothing."""
    if get_origin(kind) in (types.UnionType, Union):  # the latter of a Literal or None
        (kind,) = [each for each in get_args(kind) if each is not type(None)]
    return kind
