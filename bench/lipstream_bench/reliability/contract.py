"""Does a server keep to its OpenAPI document? schemathesis, all checks on, against `lipstream serve --stub`.

python -m lipstream_bench.reliability.contract # more than 1,000 cases, some minutes
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lipstream_server.commands.demo import free_port

from ..live.server_process import serving

_PORT = 8093
# What is random is seldom a picture, a recording or the id of a clip: those are refused with a reason that the document names.
_EXPECTED = ["2xx", "304", "403", "404", "409", "410", "413", "415", "416", "422", "503", "507"]
_CONFIG = f"[checks]\npositive_data_acceptance.expected-statuses = {_EXPECTED}\n"


def contract(
    examples: Annotated[int, typer.Option(help="of each operation and phase", min=1)] = 60,
    seed: Annotated[int, typer.Option(help="the same seed gives the same requests")] = 1,
    phases: Annotated[str, typer.Option(help="of schemathesis")] = "examples,coverage,fuzzing,stateful",
) -> None:
    """Ends with the exit code of schemathesis: 0 where nothing was found."""
    port = free_port(_PORT)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(["--stub", "--data", f"{folder}/data"], port) as server,
    ):
        options = ["--max-examples", str(examples), "--seed", str(seed), "--phases", phases]
        done = run(f"{server.url.replace('ws', 'http', 1)}/openapi.json", Path(folder), options)
        memory = server.memory_mb
    print(f"the server took {memory:.0f} MB at the end")
    raise typer.Exit(done.returncode)


def run(url: str, folder: Path, options: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """schemathesis in a process of its own, as it brings hooks into whatever imports it."""
    config = folder / "schemathesis.toml"
    config.write_text(_CONFIG)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", url]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "lipstream_bench.reliability.contract_hooks"}
    fixed = ["--checks", "all", "--continue-on-failure", "--no-color", "--request-timeout", "60"]
    return subprocess.run(  # noqa: S603
        [*command, *options, *fixed], env=environment, cwd=folder, check=False
    )


if __name__ == "__main__":
    typer.run(contract)
