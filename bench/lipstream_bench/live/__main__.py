"""`python -m lipstream_bench.live.__main__`: the live server's figures, measured from outside by the real client.

Three parts: a session that is spoken to for minutes, interrupts, and many sessions without a model.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict
from pathlib import Path

from lipstream_client.recording import read_audio
from lipstream_models.bundled import recording_path

from ..machine.machine import machine
from .interrupts import interrupt
from .overhead import load
from .server_process import serving
from .sustained import sustain

_PORT = 8770


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the long session")
    parser.add_argument("--interrupts", type=int, default=40)
    parser.add_argument("--sessions", type=int, default=50, help="without a model; 0 leaves that part out")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the sessions without a model")
    parser.add_argument("--container", choices=("fmp4", "webm", "jpeg", "rgb"), default="fmp4")
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    speech = read_audio(recording_path())
    figures: dict[str, object] = {"machine": machine()}
    with serving(["--max-sessions", "2"], _PORT) as server:
        if arguments.interrupts:
            figures["interrupts"] = asdict(asyncio.run(interrupt(server, speech, arguments.interrupts)))
            print(json.dumps(figures["interrupts"]), flush=True)
        if arguments.minutes:
            figures["sustained"] = asdict(asyncio.run(sustain(server, speech, arguments.minutes)))
            print(json.dumps(figures["sustained"]), flush=True)
    if arguments.sessions:
        with serving(["--stub", "--max-sessions", str(arguments.sessions)], _PORT) as server:
            work = load(server, arguments.sessions, arguments.seconds, arguments.container, speech)
            figures["overhead"] = asdict(asyncio.run(work))
            print(json.dumps(figures["overhead"]), flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
