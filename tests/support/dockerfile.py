"""A minimal reading of Dockerfiles and .dockerignore files, for tests that compare them with the repository."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name and its arguments as text, continuation lines joined."""

    name: str
    text: str


def read_stages(dockerfile: str) -> list[list[Instruction]]:
    """Return the instructions of each stage, from FROM on; ARGs before the first FROM are left out."""
    lines = (line for line in dockerfile.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    stages: list[list[Instruction]] = []
    for line in filter(str.strip, joined.splitlines()):
        name, _, text = line.partition(" ")
        if name == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(Instruction(name, text.strip()))
    return stages


def variables(instruction: Instruction) -> dict[str, str]:
    """Return the variables of an ENV or ARG."""
    return dict(word.split("=", 1) for word in shlex.split(instruction.text))


def context_filter(dockerignore: Iterable[str]) -> Callable[[str], bool]:
    """Return whether a path of the context is sent to a build; the last matching pattern decides."""
    rules = [line for line in map(str.strip, dockerignore) if line and not line.startswith("#")]

    def matches(path: str, pattern: str) -> bool:
        parts = path.split("/")
        if pattern.startswith("**/"):
            return any(fnmatch.fnmatchcase(part, pattern[3:]) for part in parts)
        depth = pattern.count("/") + 1
        return len(parts) >= depth and fnmatch.fnmatchcase("/".join(parts[:depth]), pattern)

    def sent(path: str) -> bool:
        decision = True
        for rule in rules:
            if matches(path, rule.lstrip("!")):
                decision = rule.startswith("!")
        return decision

    return sent
