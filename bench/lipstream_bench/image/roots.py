"""Commands in another root file system: namespaces and mounts that end with the command, and leave nothing behind."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Lent:
    """What a build borrows from this machine, so that pip finds what it finds here: paths, read-only, and variables."""

    paths: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def lent_to_pip() -> Lent:
    """The way to the package indexes: name servers, certificates, and the configuration of pip with what it refers to."""
    paths = [Path("/etc/resolv.conf"), Path("/etc/ssl/certs/ca-certificates.crt")]
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    environment = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        value = value.strip("'\"")
        environment[f"PIP_{key.rpartition('.')[2].replace('-', '_').upper()}"] = value
        for word in value.split():
            path = Path(word.removeprefix("file://"))
            if path.is_absolute() and path.exists():
                # The pages of an index refer to files that lie beside it.
                paths.append(path.parent if path.name == "simple" else path)
    return Lent(tuple(dict.fromkeys(path for path in paths if path.exists())), environment)


def run(
    root: Path, script: str, environment: Mapping[str, str], directory: str, user: str, lent: Lent
) -> None:
    """A RUN. Raises CalledProcessError."""
    with _mount_points(root, lent.paths):
        binds = [
            f"mount --bind {_q(path)} {_q(_within(root, path))} && mount -o remount,ro,bind {_q(_within(root, path))}"
            for path in lent.paths
        ]
        inside = inner(root, ["/bin/sh", "-c", script], {**lent.environment, **environment}, directory, user)
        enter = ["mount --make-rprivate /", *_kernel(root), *binds, f"exec {shlex.join(inside)}"]
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        subprocess.run([*namespaces, "sh", "-ec", "\n".join(enter)], check=True, stdin=subprocess.DEVNULL)


def inner(
    root: Path, command: Sequence[str], environment: Mapping[str, str], directory: str, user: str
) -> list[str]:
    """What starts a command in a root: nothing of this process's environment, and no privilege but root's own of a build."""
    words = [f"{name}={value}" for name, value in environment.items()]
    enter = ["env", "-i", *words, "/bin/sh", "-c", 'cd "$0" && exec "$@"', directory, *command]
    return ["chroot", str(root), *as_user(user), *enter]


def as_user(user: str) -> list[str]:
    """The way from root to another user, without a way back."""
    if user in ("", "0", "root"):
        return []
    uid, _, gid = user.partition(":")
    locked = ["--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
    return ["setpriv", "--reuid", uid, "--regid", gid or uid, *locked]


def serving(
    root: Path, data: Path, command: Sequence[str], environment: Mapping[str, str], user: str
) -> list[str]:
    """A container: the root read-only, /tmp in memory, `data` at /data, processes and network of its own."""
    inside = inner(root, command, environment, "/data", user)
    steps = [
        "mount --make-rprivate /",
        f"mount --bind {_q(root)} {_q(root)}",
        *_kernel(root),
        f"mount -t tmpfs -o nosuid,nodev,size=256m tmpfs {_q(root / 'tmp')}",
        f"mount --bind {_q(data)} {_q(root / 'data')}",
        f"mount -o remount,ro,bind {_q(root)}",
        "ip link set lo up",
        f"exec {shlex.join(inside)}",
    ]
    return ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-ec", "\n".join(steps)]


def _kernel(root: Path) -> list[str]:
    devices = ("null", "zero", "full", "random", "urandom")
    dev = root / "dev"
    return [
        f"mount -t proc proc {_q(root / 'proc')}",
        f"mount -t sysfs -o ro sysfs {_q(root / 'sys')}",  # PyTorch looks there for what the processor can do
        f"mount -t tmpfs -o nosuid,mode=755 tmpfs {_q(dev)}",
        *(f"touch {_q(dev / name)} && mount --bind /dev/{name} {_q(dev / name)}" for name in devices),
        f"mkdir {_q(dev / 'shm')} && mount -t tmpfs -o nosuid,nodev,size=64m tmpfs {_q(dev / 'shm')}",
        f"ln -s /proc/self/fd {_q(dev / 'fd')}",
    ]


@contextmanager
def _mount_points(root: Path, paths: Sequence[Path]) -> Iterator[None]:
    """Files and directories to mount on; those that were made for it go again."""
    made: list[Path] = []
    for path in paths:
        point = _within(root, path)
        missing = [each for each in (point, *point.parents) if not each.exists()]
        (point if path.is_dir() else point.parent).mkdir(parents=True, exist_ok=True)
        if not path.is_dir():
            point.touch()
        made += missing
    try:
        yield
    finally:
        for each in sorted(made, reverse=True):
            if each.is_dir():
                each.rmdir()
            else:
                each.unlink()


def _within(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _q(path: Path) -> str:
    return shlex.quote(str(path))
