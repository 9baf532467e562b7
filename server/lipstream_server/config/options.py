"""Command-line options made from the definitions of the settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic.fields import FieldInfo

from .display import env_value
from .sources import (
    FIELDS,
    is_secret,
    load_settings,
    option,
)

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file of settings; LIPSTREAM_CONFIG names it too."),
]
_UNITS = {"seconds": "SECONDS", "bytes": "BYTES", "frames": "FRAMES"}
_KINDS = {bool: None, int: "INTEGER", float: "NUMBER", Path: "PATH"}


def accept_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--config` and an option for every setting that is not secret.

    The command is called with the loaded settings, then with its own options by name.
    """
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    keys = {_parameter_name(key): key for key, field in FIELDS.items() if not is_secret(field)}

    @wraps(command)
    def run(config: Path | None = None, **given: Any) -> None:
        options = {key: given.pop(name) for name, key in keys.items()}
        command(load_settings(options, config), **given)

    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("config", kind, default=None, annotation=ConfigFile),
        *(parameter.replace(kind=kind) for parameter in own),
        *(
            inspect.Parameter(name, kind, default=None, annotation=setting_option(key))
            for name, key in keys.items()
        ),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def setting_option(key: str) -> Any:
    """Return the annotation of a command's parameter for a setting: text, which the settings validate, or a flag."""
    field = FIELDS[key]
    group = key.rpartition(".")[0]
    default = "" if field.default in (None, False, ()) else f" Default: {env_value(field.default)}."
    is_flag = bool in _types(field)
    name = option(key)
    return Annotated[
        bool | None if is_flag else str | None,
        typer.Option(
            f"{name}/--no-{name[2:]}" if is_flag else name,
            metavar=_metavar(key, field),
            help=f"{field.description}{default}",
            show_default=False,
            rich_help_panel=f"Settings: {group}" if group else "Settings",
        ),
    ]


def _parameter_name(key: str) -> str:
    return key.replace(".", "__")


def _types(field: FieldInfo) -> tuple[Any, ...]:
    return get_args(field.annotation) or (field.annotation,)


def _metavar(key: str, field: FieldInfo) -> str | None:
    """Return what stands for the value in help texts: the unit, or the type."""
    types = _types(field)
    if Ellipsis in types:
        return "A,B,..."
    if choices := [choice for each in types for choice in get_args(each) if isinstance(choice, str)]:
        return "|".join(choices)
    if unit := _UNITS.get(key.rpartition("_")[2]):
        return unit
    return next((_KINDS[each] for each in types if each in _KINDS), "TEXT")
