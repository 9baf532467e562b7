"""Check with schemathesis that a server keeps to its OpenAPI document, against `lipstream serve --stub`.

python -m lipstream_bench.reliability.contract  # more than 1,000 cases, some minutes
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
# Random data is rarely an image, a recording or the id of a clip; such requests are refused as documented.
_EXPECTED = ["2xx", "304", "403", "404", "409", "410", "413", "415", "416", "422", "503", "507"]
_CONFIG = f"[checks]\npositive_data_acceptance.expected-statuses = {_EXPECTED}\n"


def contract(
    examples: Annotated[
        int, typer.Option(help="number of examples for each operation and phase", min=1)
    ] = 60,
    seed: Annotated[int, typer.Option(help="seed; the same seed gives the same requests")] = 1,
    phases: Annotated[
        str, typer.Option(help="phases of schemathesis")
    ] = "examples,coverage,fuzzing,stateful",
) -> None:
    """Exit with the code of schemathesis: 0 if it found nothing."""
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
    """Run schemathesis in a process of its own, because its hooks change the importing process."""
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
