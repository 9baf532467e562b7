"""Structure of the repository: contents of the wheel, imports of the rooms, and names in README files."""

import ast
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lipstream_client.cli import find_commands

ROOT = Path(__file__).parents[1]
SHIPPED = (
    "accel/lipstream_accel",
    "models/lipstream_models",
    "server/lipstream_server",
    "clients/lipstream_client",
)

IMPORT_ALL = """
import importlib, pkgutil, sys
room = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
    importlib.import_module(module.name)
print(*(name for name in ("torch", "diffusers", "transformers", "ai_edge_litert") if name in sys.modules))
"""


def test_wheel_holds_all_files_of_the_four_shipped_rooms(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.iterdir()
    names = zipfile.ZipFile(wheel).namelist()
    there = {name for name in names if ".dist-info/" not in name}
    room_files = {
        str(file.relative_to((ROOT / room).parent))
        for room in SHIPPED
        for file in (ROOT / room).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert there == room_files
    assert {Path(name).name for name in names if "/licenses/" in name} == {"LICENSE", "NOTICE"}


@pytest.mark.parametrize("room", ["lipstream_server", "lipstream_client"])
def test_importing_server_or_client_loads_no_network_library(room: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, room], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_accel_needs_torch_and_nothing_else() -> None:
    allowed = sys.stdlib_module_names | {"torch", "lipstream_accel"}
    for file in (ROOT / "accel").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            assert {name.partition(".")[0] for name in names} <= allowed, file


def test_torch_is_pinned_once() -> None:
    assert re.findall(r"^torch==.*$", (ROOT / "constraints.txt").read_text(), re.M) == ["torch==2.13.0"]


@pytest.mark.parametrize(
    "readme",
    [ROOT / "README.md", *sorted(ROOT.glob("*/README.md"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_readme_names_existing_targets_commands_and_files(readme: Path) -> None:
    text = readme.read_text()
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.M)) <= set(targets)
    assert set(re.findall(r"(?:^|`)(?:\.venv/bin/)?lipstream ([a-z][a-z-]*)", text, re.M)) <= set(
        find_commands()
    )
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    assert [link for link in links if not (readme.parent / link).exists()] == []
