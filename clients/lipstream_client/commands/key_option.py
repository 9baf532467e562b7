"""The option `--key` of every command that speaks with a server."""

from __future__ import annotations

from typing import Annotated

import typer

Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar="LIPSTREAM_KEY",
        help="of a server that asks for one; best in the environment, where other users of the machine do not see it",
    ),
]
