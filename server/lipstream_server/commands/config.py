"""`lipstream config`: the settings that `lipstream serve` would run with."""

from __future__ import annotations

from typing import Annotated

import typer

from ..config.display import env_lines, toml_lines
from ..config.options import accept_settings
from ..config.sources import LoadedSettings


@accept_settings
def config(
    loaded: LoadedSettings,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Print the description and the environment variable of each setting."),
    ] = False,
    env: Annotated[
        bool, typer.Option("--env", help="Print an explained file of environment variables instead of TOML.")
    ] = False,
) -> None:
    """Print every setting of `lipstream serve` as TOML that --config takes, and where its value comes from."""
    for line in env_lines(loaded) if env else toml_lines(loaded, explain):
        typer.echo(line)
