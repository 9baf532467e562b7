"""`python -m lipstream_bench.image`: builds the image's file system by the Dockerfile, and runs it. Minutes, and 6 GB meanwhile."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from .check import CheckError, check
from .dockerfile import DockerfileError
from .follow import Build, follow
from .roots import lent_to_pip

_NEEDED = ("debootstrap", "unshare", "nsenter", "setpriv", "chroot", "ip")
_ROOT = Path(__file__).parents[3]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--work", type=Path, default=Path("/var/tmp/lipstream-image"), help="where it is made"
    )
    options.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    options.add_argument(
        "--keep", action="store_true", help="leave the files; another run takes the base from there"
    )
    given = options.parse_args()
    arguments = dict(each.split("=", 1) for each in given.build_arg)
    if missing := [each for each in _NEEDED if shutil.which(each) is None] + ["root"] * (os.geteuid() != 0):
        print(f"this takes root, and {', '.join(_NEEDED)}; not here: {', '.join(missing)}", file=sys.stderr)
        return 2
    began = time.monotonic()

    def tell(said: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {said}", flush=True)

    given.work.mkdir(parents=True, exist_ok=True)
    try:
        image = follow(Build(_ROOT, given.work, arguments, lent_to_pip(), tell))
        check(image, given.work, tell)
    except (CheckError, DockerfileError, subprocess.CalledProcessError) as error:
        log = given.work / "log"  # of the server, once there was one
        said = log.read_text(errors="replace").splitlines()[-20:] if log.exists() else []
        print(*said, f"{type(error).__name__}: {error}", sep="\n", file=sys.stderr)
        return 1
    finally:
        if not given.keep:
            shutil.rmtree(given.work, ignore_errors=True)
    tell("the image does what it should")
    return 0


if __name__ == "__main__":
    sys.exit(main())
