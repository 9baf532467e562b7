"""Names use the words of docs/glossary.md."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHIPPED = sorted(path for path in ROOT.glob("*/lipstream_*") if path.parent.name not in ("training", "bench"))

INSTEAD = {
    "picture": "frame (video) or image (file)",
    "pictures": "frames or images",
    "sound": "audio",
    "sounds": "audio",
    "hearing": "audio encoding, lookahead",
    "heard": "audio",
    "hear": "encode audio, receive",
    "told": "declared, reported",
    "tell": "report, log, send",
    "said": "spoken, predicted",
    "held": "repeated",
    "made": "generated, created",
    "seen": "observed, recorded",
    "kept": "cached, stored",
    "asked": "requested",
    "began": "started",
    "starved": "underrun",
    "places": "session limit",
    "patience": "timeout",
    "backlog": "buffer",
    "delay": "latency, lateness",
    "most": "max",
    "least": "min",
    "farewell": "close",
    "bell": "event, condition",
}
"""A part of a name that is not used, and what says the same."""

ALLOWED = frozenset({"startup_delay"})  # a part of the first frame's latency that is a delay by choice
"""Full names that contain such a part for a reason, which a comment beside them gives."""


def split_name(name: str) -> list[str]:
    """Return the lower-case parts of a snake_case or CamelCase name."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().split("_")


def public_names(package: Path) -> Iterator[tuple[str, str]]:
    """Yield the public modules, classes, functions and methods of a package, each with its file and line."""
    for file in sorted(package.rglob("*.py")):
        where = str(file.relative_to(ROOT))
        if not file.stem.startswith("_"):
            yield file.stem, where
        for node in ast.walk(ast.parse(file.read_text())):
            is_definition = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if is_definition and not node.name.startswith("_"):
                yield node.name, f"{where}:{node.lineno}"


def test_names_are_split_into_parts() -> None:
    assert split_name("HTTPSPictureReader") == ["https", "picture", "reader"]
    assert split_name("first_picture_ms") == ["first", "picture", "ms"]


def test_public_names_use_the_words_of_the_glossary() -> None:
    violations = [
        f"{where}: {name}: '{part}' is not used here; say {INSTEAD[part]}"
        for package in SHIPPED
        for name, where in public_names(package)
        for part in split_name(name)
        if part in INSTEAD and name not in ALLOWED
    ]
    assert not violations, "\n" + "\n".join(violations)


def test_class_names_are_defined_once() -> None:
    places = defaultdict(list)
    for file in sorted(path for package in ROOT.glob("*/lipstream_*") for path in package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{file.relative_to(ROOT)}:{node.lineno}")
    repeated = [f"{name}: {', '.join(where)}" for name, where in sorted(places.items()) if len(where) > 1]
    assert not repeated, "give one of them a better name\n" + "\n".join(repeated)
