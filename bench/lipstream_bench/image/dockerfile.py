"""What a Dockerfile says: the part of the language that ours uses. Anything else is refused, not followed wrongly."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

INSTRUCTIONS = frozenset(
    {
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "RUN",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    }
)
_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|(\w+))")


class DockerfileError(ValueError):
    """The Dockerfile says what cannot be followed here."""


@dataclass(frozen=True)
class Step:
    """line: where it begins, from 1. flags: such as `from` of a COPY. said: all after the flags, variables unresolved."""

    line: int
    name: str
    flags: Mapping[str, str]
    said: str


@dataclass(frozen=True)
class Stage:
    """base: an image or an earlier stage, resolved."""

    name: str
    base: str
    steps: tuple[Step, ...]


def parse(text: str, arguments: Mapping[str, str]) -> tuple[Stage, ...]:
    """The stages in order, the last one being the image. arguments: of the build, for the FROM lines. Raises DockerfileError."""
    known: dict[str, str] = {}
    stages: list[Stage] = []
    for step in _steps(text):
        if step.name == "FROM":
            base, *rest = step.said.split()
            if rest and (len(rest) != 2 or rest[0].upper() != "AS"):
                raise DockerfileError(f"line {step.line}: expected FROM IMAGE AS NAME, got {step.said!r}")
            name = rest[1] if rest else str(len(stages))
            stages.append(Stage(name, substitute(base, known, step.line), ()))
        elif stages:
            stages[-1] = Stage(stages[-1].name, stages[-1].base, (*stages[-1].steps, step))
        elif step.name == "ARG":
            known |= argument(step, known, arguments)
        else:
            raise DockerfileError(
                f"line {step.line}: expected ARG or FROM before the first stage, got {step.name}"
            )
    if not stages:
        raise DockerfileError("there is no FROM")
    return tuple(stages)


def argument(step: Step, known: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """What an ARG adds: the build's own value, or the default, or nothing. Quotes round a default are not part of it."""
    words = shlex.split(step.said)
    if len(words) != 1:
        raise DockerfileError(f"line {step.line}: expected one name, and perhaps a value, got {step.said!r}")
    name, has_default, default = words[0].partition("=")
    if name in given:
        return {name: given[name]}
    return {name: substitute(default, known, step.line)} if has_default else {}


def pairs(step: Step, known: Mapping[str, str]) -> dict[str, str]:
    """The NAME=VALUE of an ENV or a LABEL."""
    found = {}
    for word in shlex.split(step.said):
        name, equals, value = word.partition("=")
        if not equals:
            raise DockerfileError(f"line {step.line}: expected NAME=VALUE, got {word!r}")
        found[name] = substitute(value, known, step.line)
    return found


def command(said: str, line: int) -> list[str]:
    """The exec form of a CMD, ENTRYPOINT or VOLUME; the shell form would make a shell the first process."""
    try:
        words = json.loads(said)
    except json.JSONDecodeError:
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DockerfileError(f'line {line}: expected ["a", "list"], got {said!r}')
    return words


def substitute(text: str, known: Mapping[str, str], line: int) -> str:
    """With the values of variables. Unlike Docker's, an unknown one is an error."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in known:
            raise DockerfileError(f"line {line}: {found[0]} is not known here, only {', '.join(known)}")
        return known[name]

    return _VARIABLE.sub(value, text)


def _steps(text: str) -> Iterator[Step]:
    for line, said in _logical_lines(text):
        name, _, rest = said.partition(" ")
        name = name.upper()
        if name not in INSTRUCTIONS:
            raise DockerfileError(
                f"line {line}: {name} is not followed, only {', '.join(sorted(INSTRUCTIONS))}"
            )
        flags: dict[str, str] = {}
        rest = rest.strip()
        while name != "CMD" and rest.startswith("--"):
            flag, _, rest = rest.partition(" ")
            key, _, value = flag.removeprefix("--").partition("=")
            flags[key], rest = value, rest.strip()
        allowed = {"COPY": {"from"}, "HEALTHCHECK": {"interval", "timeout", "start-period", "retries"}}
        if unknown := flags.keys() - allowed.get(name, set()):
            raise DockerfileError(f"line {line}: --{min(unknown)} of {name} is not followed")
        if "<<" in rest:
            raise DockerfileError(f"line {line}: here-documents are not followed")
        yield Step(line, name, flags, rest)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    held, begun = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"#\s*(escape|syntax)\s*=", line):
            raise DockerfileError(f"line {number}: directives are not followed, got {line!r}")
        if line.lstrip().startswith("#") or not line.strip():
            continue
        begun = begun or number
        if line.endswith("\\"):
            held += line[:-1].rstrip() + " " if held else line[:-1]
            continue
        yield begun, (held + line.strip()).strip()
        held, begun = "", 0
    if held:
        raise DockerfileError(f"line {begun}: the file ends within an instruction")
