"""Where settings come from: defaults, a TOML file, the environment and command-line options; later sources win.

The only place of the server that reads `LIPSTREAM_*` variables.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from .group import SettingsGroup
from .serve_settings import ServeSettings
from .settings import ServerSettings

PREFIX = "LIPSTREAM_"
FILE_VARIABLE = "LIPSTREAM_CONFIG"
OTHER_VARIABLES = frozenset({FILE_VARIABLE, "LIPSTREAM_KEY"})
"""Variables that are not settings of the server: its settings file, and the API key of the client."""
DEFAULT = "default"


class SettingsError(ValueError):
    """A setting cannot be used; the command line prints the message and ends with `exit_code`."""

    exit_code = 2


class _SettingsSources(ServeSettings, BaseSettings):
    """The shape in which pydantic-settings looks for values; never instantiated."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True, enable_decoding=False
    )


@dataclass(frozen=True)
class LoadedSettings:
    """Settings and, by key (such as `clips.max_queued`), the origin of every value that is not a default."""

    settings: ServeSettings
    origins: Mapping[str, str]

    def __iter__(self) -> Iterator[tuple[str, FieldInfo, Any, str]]:
        """Iterate over key, field, value and origin of every setting."""
        for key, field in FIELDS.items():
            yield key, field, value_at(self.settings, key), self.origins.get(key, DEFAULT)


def load_settings(options: Mapping[str, Any], file: Path | None = None) -> LoadedSettings:
    """Merge all sources and validate the result.

    Args:
        options: command-line options by key; None where not given.
        file: TOML file; by default the one that LIPSTREAM_CONFIG names, if any.

    Raises:
        SettingsError: a source has an unknown name or an invalid value.
        OSError: the file cannot be read.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    path = file or (Path(named) if (named := os.environ.get(FILE_VARIABLE)) else None)
    if path is not None:
        values |= (found := _read_file(path))
        origins |= dict.fromkeys(found, str(path))
    values |= (found := _read_environment())
    origins |= {key: variable(key) for key in found}
    given = {key: value for key, value in options.items() if value is not None}
    values |= given
    origins |= {key: option(key) for key in given}
    try:
        return LoadedSettings(ServeSettings.model_validate(_nested(values)), origins)
    except ValidationError as error:
        raise SettingsError(_describe(error.errors()[0], origins)) from error


def setting_fields(model: type[SettingsGroup], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Iterate over key and field of every setting of a tree of models, those of the root first."""
    groups = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, SettingsGroup):
            groups.append((name, field.annotation))
        else:
            yield prefix + name, field
    for name, group in groups:
        yield from setting_fields(group, f"{prefix}{name}.")


FIELDS: Mapping[str, FieldInfo] = dict(
    sorted(
        setting_fields(ServeSettings),
        key=lambda item: ("." in item[0], item[0] in ServerSettings.model_fields),
    )
)
"""Every setting by key: where to listen and which model first, then those of the application, then the groups."""


def value_at(settings: SettingsGroup, key: str) -> Any:
    """Return the value of the setting with this key."""
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def is_secret(field: FieldInfo) -> bool:
    """Return whether the values of a setting must not be shown."""
    return "SecretStr" in repr(field.annotation)


def variable(key: str) -> str:
    """Return the name of a setting's environment variable."""
    return PREFIX + key.replace(".", "__").upper()


def option(key: str) -> str:
    """Return the name of a setting's command-line option."""
    return "--" + key.replace(".", "-").replace("_", "-")


def _read_file(path: Path) -> dict[str, Any]:
    """Return the values of a TOML file by key, with the types that the settings have: "8000" is no number there."""
    path.stat()  # pydantic-settings takes a file that is missing for an empty one
    try:
        tables = TomlConfigSettingsSource(_SettingsSources, path).toml_data
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    values = dict(_flat(tables))
    for key in values:
        if key not in FIELDS:
            raise SettingsError(f"{path}: {_unknown(key, list(FIELDS))}")
    try:
        ServeSettings.model_validate_json(json.dumps(tables, default=str), strict=True)
    except ValidationError as error:
        # Rules over several values are checked when all sources are merged.
        for details in error.errors():
            if details["type"] != "value_error":
                raise SettingsError(_describe(details, dict.fromkeys(values, str(path)))) from error
    return values


def _read_environment() -> dict[str, Any]:
    """Return the values of all variables that are set and not empty, by key."""
    variables = [variable(key) for key in FIELDS]
    for name, text in os.environ.items():
        if name.startswith(PREFIX) and text and name not in OTHER_VARIABLES and name not in variables:
            raise SettingsError(f"the environment: {_unknown(name, [*variables, *OTHER_VARIABLES])}")
    return dict(_flat(EnvSettingsSource(_SettingsSources)()))


def _flat(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tables.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *groups, name = key.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[name] = value
    return tree


def _unknown(name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    return f"there is no setting {name!r}; did you mean {nearest!r}? `lipstream config` prints all"


def _describe(error: ErrorDetails, origins: Mapping[str, str]) -> str:
    """Return one line that names the setting, its source, what was expected and what came."""
    key = ".".join(str(part) for part in error["loc"] if isinstance(part, str))
    sources = [origin for name, origin in origins.items() if name == key or name.startswith(f"{key}.")]
    source = ", ".join(dict.fromkeys(sources or origins.values()))
    if error["type"] == "value_error":
        return f"{source}: {key}: {error['ctx']['error']}"
    expected = re.sub("^Input (should be|is not)", "expected", error["msg"]).partition(", unable")[0]
    secret = key in FIELDS and is_secret(FIELDS[key])
    return (
        f"{source}: {key}: {expected}, got {'a value that is not shown' if secret else repr(error['input'])}"
    )
