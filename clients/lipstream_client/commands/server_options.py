"""Options of every command that talks to a server."""

from __future__ import annotations

from typing import Annotated

import typer

STREAM_URL = "ws://127.0.0.1:8000"
REST_URL = "http://127.0.0.1:8000"

Url = Annotated[str, typer.Option(help="Address of the server.")]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar="LIPSTREAM_KEY",
        help="API key, where the server requires one; best set in the environment, where other users of the machine do not "
        "see it.",
    ),
]
