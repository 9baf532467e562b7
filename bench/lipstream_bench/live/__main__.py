"""`python -m lipstream_bench.live`: measure the live server by the real client.

Three parts: interrupts, one session of some minutes, and many sessions without a model.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict
from pathlib import Path

from lipstream_client.recording import read_audio
from lipstream_models.bundled import recording_path

from ..machine.machine import describe_machine
from .interrupts import measure_interrupts
from .overhead import measure_overhead
from .server_process import serving
from .sustained import measure_session

_PORT = 8770


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--minutes",
        type=float,
        default=10.0,
        help="Length of the long session in minutes; 0 leaves that part out.",
    )
    parser.add_argument(
        "--interrupts", type=int, default=40, help="Number of interrupts; 0 leaves that part out."
    )
    parser.add_argument(
        "--sessions", type=int, default=50, help="Number of sessions without a model; 0 leaves that part out."
    )
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="Length of the sessions without a model in seconds."
    )
    parser.add_argument(
        "--container",
        choices=("fmp4", "webm", "jpeg", "rgb"),
        default="fmp4",
        help="Container of the sessions without a model.",
    )
    parser.add_argument("--json", type=Path, default=None, help="JSON file for the results.")
    arguments = parser.parse_args()
    speech = read_audio(recording_path())
    figures: dict[str, object] = {"machine": describe_machine()}
    with serving(["--max-sessions", "2"], _PORT) as server:
        if arguments.interrupts:
            figures["interrupts"] = asdict(
                asyncio.run(measure_interrupts(server, speech, arguments.interrupts))
            )
            print(json.dumps(figures["interrupts"]), flush=True)
        if arguments.minutes:
            figures["sustained"] = asdict(asyncio.run(measure_session(server, speech, arguments.minutes)))
            print(json.dumps(figures["sustained"]), flush=True)
    if arguments.sessions:
        with serving(["--stub", "--max-sessions", str(arguments.sessions)], _PORT) as server:
            measurement = measure_overhead(
                server, arguments.sessions, arguments.seconds, arguments.container, speech
            )
            figures["overhead"] = asdict(asyncio.run(measurement))
            print(json.dumps(figures["overhead"]), flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
