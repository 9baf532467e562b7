"""What of the repository a build sees (.dockerignore), and how COPY copies."""

from __future__ import annotations

import fnmatch
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .dockerfile import DockerfileError


def included(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a path, relative to the context, is sent to a build. The last pattern that fits decides; `!` takes back."""
    rules = [(line.lstrip("!"), line.startswith("!")) for line in map(str.strip, patterns) if _rule(line)]

    def fits(path: str, pattern: str) -> bool:
        parts = path.split("/")
        heads = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        if pattern.startswith("**/"):
            return any(fnmatch.fnmatchcase(part, pattern[3:]) for part in parts)
        return any(
            head.count("/") == pattern.count("/") and fnmatch.fnmatchcase(head, pattern) for head in heads
        )

    def keep(path: str) -> bool:
        kept = True
        for pattern, back in rules:
            if fits(path, pattern):
                kept = back
        return kept

    return keep


def sources(context: Path, names: Sequence[str], keep: Callable[[str], bool]) -> dict[str, list[Path]]:
    """For every source of a COPY the files that it means, relative to the context. Raises DockerfileError."""
    found = {}
    for name in names:
        start = context / name
        files = sorted(start.rglob("*")) if start.is_dir() else [start]
        found[name] = [
            file.relative_to(context)
            for file in files
            if file.is_file() and keep(file.relative_to(context).as_posix())
        ]
        if not found[name]:
            raise DockerfileError(
                f"COPY {name}: there is no such thing in the context, or .dockerignore leaves it out"
            )
    return found


def copy_context(
    context: Path, names: Sequence[str], keep: Callable[[str], bool], target: Path, into: bool
) -> None:
    """into: the target is a directory. Of a directory its contents are copied, as COPY does."""
    for name, files in sources(context, names, keep).items():
        for file in files:
            within = file.relative_to(name) if (context / name).is_dir() else Path(file.name if into else "")
            made = target / within
            made.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(context / file, made)
            made.chmod(0o755 if (context / file).stat().st_mode & 0o100 else 0o644)


def copy_stage(source: Path, target: Path) -> None:
    """A file or the contents of a directory of another stage, with owners and times."""
    target.mkdir(parents=True, exist_ok=True)
    what = f"{source}/." if source.is_dir() else str(source)
    subprocess.run(["cp", "--archive", "--reflink=auto", what, str(target)], check=True)


def _rule(line: str) -> bool:
    return bool(line) and not line.startswith("#")
