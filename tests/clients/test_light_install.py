"""The wheel without an extra brings the client, its command and the protocol, and no network."""

import asyncio
import os
import re
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest
from decoded_video import decode
from live_server import running, tone
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "diffusers", "transformers", "sqlalchemy", "alembic", "fastapi", "safetensors", "pillow"}
EXAMPLE = re.findall(r"```python\n(.*?)```", (ROOT / "clients" / "README.md").read_text(), re.S)[0]


def closure(name: str, seen: dict[str, None]) -> dict[str, None]:
    """Return the distributions that one brings, by name, itself first."""
    if name not in seen:
        seen[name] = None
        for line in metadata.requires(name) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                closure(requirement.name.lower(), seen)
    return seen


def link_distribution(name: str, folder: Path) -> None:
    """Make an installed distribution importable from a folder, and nothing else beside it."""
    found = metadata.distribution(name)
    for top in {Path(str(file)).parts[0] for file in found.files or ()}:
        source, target = Path(str(found.locate_file(top))), folder / top
        if top not in ("..", "__pycache__") and source.exists() and not target.exists():
            target.symlink_to(source)


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with the wheel and its dependencies, as pip would choose them."""
    folder = tmp_path_factory.mktemp("light")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, str(wheel)], check=True)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    for name in list(closure("lipstream", {}))[1:]:
        link_distribution(name, packages)
    return python


def call(python: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command."""
    command = [str(python.with_name("lipstream")), *words]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_dependencies_of_the_client_are_light() -> None:
    assert closure("lipstream", {}).keys().isdisjoint(HEAVY)


@pytest.mark.slow
def test_help_and_version_work_without_an_extra(light: Path) -> None:
    done = call(light, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "render" in done.stdout
    assert call(light, "--version").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["render", "amara", "talk.wav", "-o", "talk.mp4"],
        ["serve"],
        ["config"],
        ["keys", "list"],
        ["plan", "realtime"],
        ["tune", "--out", "plan.json"],
    ],
    ids=lambda words: words[0],
)
def test_commands_that_need_an_extra_say_how_to_install_it(light: Path, words: list[str]) -> None:
    done = call(light, *words)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(
        r"lipstream: this command needs the module \w+; install the extra 'server': in a checkout: "
        r"pip install -e '\.\[server\]'; or with the wheel of `make wheel`: "
        r"pip install 'dist/lipstream-[\d.]+-py3-none-any\.whl\[server\]'",
        line,
    )


@pytest.mark.slow
async def test_the_ten_line_example_runs_without_an_extra(light: Path, tmp_path: Path) -> None:
    (tmp_path / "speech.raw").write_bytes(tone(0.4))
    async with running() as address:
        script = tmp_path / "example.py"
        script.write_text(EXAMPLE.replace("127.0.0.1:8000", address))
        done = await asyncio.to_thread(
            subprocess.run, [light, script.name], cwd=tmp_path, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    assert len(decode((tmp_path / "talk.mp4").read_bytes())[0]) >= 10
