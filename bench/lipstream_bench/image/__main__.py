"""`python -m lipstream_bench.image`: build the image with Docker or Podman, run it and check it (minutes)."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .builder import PROGRAMS, find_builder
from .check import CheckError, check_image

_ROOT = Path(__file__).parents[3]
_TAG = "lipstream:image-check"


def main() -> int:
    """Return 0 where all checks pass, 1 where one fails, 2 without a builder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--build-arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="An ARG of the Dockerfile, such as TORCH=cuda. May be given several times.",
    )
    options = parser.parse_args()
    arguments = dict(each.split("=", 1) for each in options.build_arg)
    builder = find_builder()
    if builder is None:
        print(
            f"expected a running {' or '.join(PROGRAMS)}, found none; install one, e.g. `apt install podman`",
            file=sys.stderr,
        )
        return 2
    start = time.monotonic()

    def report(line: str) -> None:
        print(f"{time.monotonic() - start:6.1f} s  {line}", flush=True)

    try:
        image = builder.build(_ROOT, _TAG, arguments)
        report(f"built by {builder.program}")
        with tempfile.TemporaryDirectory() as work:
            check_image(image, Path(work), report)
    except (CheckError, subprocess.SubprocessError) as error:
        output = getattr(error, "stderr", None) or ""
        print(f"{output}{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    report("all checks passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
