"""Stages of a Dockerfile as directories."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from .base import ENVIRONMENT, make_base
from .context import copy_context, copy_stage, included
from .dockerfile import (
    DockerfileError,
    Stage,
    Step,
    argument,
    command,
    pairs,
    parse,
    substitute,
)
from .roots import Lent, run


@dataclass(frozen=True)
class Image:
    """root: its file system. arguments: of the stage so far. healthcheck: the command."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = ""
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"

    @property
    def known(self) -> dict[str, str]:
        return {**self.arguments, **self.environment}


@dataclass(frozen=True)
class Build:
    """context: the repository. work: where stages are made. tell: told of every step."""

    context: Path
    work: Path
    arguments: Mapping[str, str]
    lent: Lent
    tell: Callable[[str], None]


def follow(build: Build) -> Image:
    """The image. Raises DockerfileError, CalledProcessError."""
    stages = parse((build.context / "Dockerfile").read_text(), build.arguments)
    made: dict[str, Image] = {}
    for stage in stages:
        image = _begin(build, stage, made)
        for step in stage.steps:
            build.tell(f"{stage.name}: {step.name} {' '.join(step.said.split())[:100]}")
            image = _step(build, image, step, made)
        made[stage.name] = image
    return made[stages[-1].name]


def _begin(build: Build, stage: Stage, made: Mapping[str, Image]) -> Image:
    root = build.work / f"stage-{stage.name}"
    shutil.rmtree(root, ignore_errors=True)
    if stage.base in made:
        before = made[stage.base]
        copy_stage(before.root, root)
        return replace(before, root=root, arguments={})
    base = build.work / stage.base.replace(":", "-").replace("/", "-")
    if not base.exists():
        build.tell(f"{stage.base}: a stand-in of Debian's packages")
        partly = base.with_suffix(".part")
        shutil.rmtree(partly, ignore_errors=True)
        make_base(stage.base, partly)
        partly.rename(base)
    copy_stage(base, root)
    return Image(root, ENVIRONMENT)


def _step(build: Build, image: Image, step: Step, made: Mapping[str, Image]) -> Image:
    match step.name:
        case "ARG":
            return replace(
                image, arguments={**image.arguments, **argument(step, image.known, build.arguments)}
            )
        case "RUN":
            run(image.root, step.said, image.known, image.directory, image.user, build.lent)
            return image
        case "COPY":
            _copy(build, image, step, made)
            return image
        case "ENV":
            return replace(image, environment={**image.environment, **pairs(step, image.known)})
        case "LABEL":
            return replace(image, labels={**image.labels, **pairs(step, image.known)})
        case "WORKDIR":
            (image.root / step.said.lstrip("/")).mkdir(parents=True, exist_ok=True)
            return replace(image, directory=step.said)
        case _:
            return _configured(image, step)


def _configured(image: Image, step: Step) -> Image:
    """What is only written down for whoever starts the image."""
    said = substitute(step.said, image.known, step.line)
    match step.name:
        case "USER":
            return replace(image, user=said)
        case "EXPOSE":
            return replace(image, ports=(*image.ports, *said.split()))
        case "STOPSIGNAL":
            return replace(image, stop_signal=said)
        case "VOLUME":
            return replace(image, volumes=tuple(command(said, step.line)))
        case "ENTRYPOINT":
            return replace(image, entrypoint=tuple(command(said, step.line)))
        case "CMD":
            return replace(image, command=tuple(command(said, step.line)))
        case "HEALTHCHECK" if said.startswith("CMD "):
            return replace(image, healthcheck=tuple(command(said.removeprefix("CMD ").strip(), step.line)))
    raise DockerfileError(f"line {step.line}: {step.name} {said!r} is not followed")


def _copy(build: Build, image: Image, step: Step, made: Mapping[str, Image]) -> None:
    *names, target = substitute(step.said, image.known, step.line).split()
    where = image.root / (Path(image.directory) / target).relative_to("/")
    if "from" not in step.flags:
        keep = included((build.context / ".dockerignore").read_text().splitlines())
        copy_context(build.context, names, keep, where, target.endswith("/"))
        return
    if step.flags["from"] not in made:
        raise DockerfileError(f"line {step.line}: there is no stage {step.flags['from']!r} before this one")
    for name in names:
        copy_stage(made[step.flags["from"]].root / name.lstrip("/"), where)
