"""The base image's stand-in: Debian from its own archive, with its Python where python:slim has one, and pip beside it."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from .dockerfile import DockerfileError

_PACKAGES = "python3,ca-certificates"
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
"""As python:slim sets it."""


def make_base(image: str, root: Path) -> None:
    """image: python:3.11-slim-bookworm and the like. Raises DockerfileError where Debian's Python is another one."""
    found = re.fullmatch(r"python:(\d+\.\d+)-slim-([a-z]+)", image)
    if found is None:
        raise DockerfileError(f"there is a stand-in for python:VERSION-slim-RELEASE only, not for {image!r}")
    version, release = found.groups()
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", release, str(root)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    for cached in (root / "var/cache/apt/archives").glob("*.deb"):
        cached.unlink()
    (root / "etc/resolv.conf").unlink(missing_ok=True)  # this machine's; an engine brings one
    if not (root / f"usr/bin/python{version}").exists():
        raise DockerfileError(
            f"Debian's {release} has no Python {version}; give PYTHON_VERSION that of {release}"
        )
    for name in ("python", "python3"):
        (root / "usr/local/bin" / name).symlink_to(f"/usr/bin/python{version}")
    library = root / f"usr/local/lib/python{version}"
    (library / "site-packages").mkdir(parents=True)
    if (library / "dist-packages").is_dir():
        (library / "dist-packages").rmdir()
    (library / "dist-packages").symlink_to("site-packages")  # what Debian calls it
    with tempfile.TemporaryDirectory() as folder:
        download = ["download", "--quiet", "--no-deps", "--dest", folder, "pip"]
        subprocess.run([sys.executable, "-m", "pip", *download], check=True, stderr=subprocess.DEVNULL)
        (wheel,) = Path(folder).iterdir()
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(library / "site-packages")
