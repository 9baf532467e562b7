"""The command line answers at once, names what is wrong and ends with the right code."""

import importlib
import os
import re
import resource
import signal
import subprocess
import sys
import time
import tomllib
import types
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup

from lipstream_client import __version__
from lipstream_client.cli import (
    CommandEntry,
    find_commands,
    load_command,
    run,
)
from lipstream_client.extras import MODULES, extra_of, install_hint
from lipstream_server.media.file.formats import VideoError

COMMANDS = find_commands()
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def command_table(monkeypatch: pytest.MonkeyPatch, function: object) -> dict[str, CommandEntry]:
    """Return a table with the one command `work`, which is `function`."""
    module = types.ModuleType("a_room_with_a_command")
    module.__dict__["work"] = function
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return {"work": CommandEntry(f"{module.__name__}:work", "Work.")}


def test_help_is_instant_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from lipstream_client.cli import run; run(['--help']);"
        "print(*(m for m in ('torch', 'numpy', 'av', 'pydantic', 'rich') if m in sys.modules), file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of the processor, not of the clock: the machine may be busy with something else.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5
    assert done.stderr.split() == []
    text = " ".join(done.stdout.split())
    assert all(f"{name} {entry.help}" in text for name, entry in COMMANDS.items())


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"lipstream {__version__}\n"


def test_no_command_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "render" in capsys.readouterr().out


def test_unknown_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rendr"]) == 2
    text = capsys.readouterr().err
    assert "No such command 'rendr'" in text
    assert "Did you mean 'render'?" in text


def test_command_gets_its_arguments_with_their_types(monkeypatch: pytest.MonkeyPatch) -> None:
    got = []

    def work(name: str, times: int = 1) -> None:
        got.append((name, times))

    assert run(["work", "face", "--times", "3"], command_table(monkeypatch, work)) == 0
    assert run(["work", "face", "--times", "three"], command_table(monkeypatch, work)) == 2
    assert got == [("face", 3)]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (VideoError("expected 1 channel,\ngot 6"), 2, "lipstream: expected 1 channel, got 6\n"),
        (FileNotFoundError(2, "No such file", "me.png"), 2, "lipstream: [Errno 2] No such file: 'me.png'\n"),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(143), 143, ""),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            2,
            f"lipstream: this command needs the module torch; install the extra 'server': {install_hint('server')}\n",
        ),
    ],
)
def test_expected_error_is_one_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    message: str,
) -> None:
    def work() -> None:
        raise error

    assert run(["work"], command_table(monkeypatch, work)) == code
    assert capsys.readouterr().err == message


def test_termination_signal_lets_the_command_finish_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    finished = []

    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            finished.append(True)

    assert run(["work"], command_table(monkeypatch, work)) == 143
    assert finished


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), ModuleNotFoundError("typo", name="nump")])
def test_unexpected_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def work() -> None:
        raise error

    with pytest.raises(type(error)):
        run(["work"], command_table(monkeypatch, work))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_registered_command_can_be_loaded(name: str) -> None:
    assert isinstance(load_command(name, COMMANDS[name]), TyperCommand | TyperGroup)


@pytest.mark.parametrize(("words", "expected"), [("lipstream re", "render"), ("lipstream clips wa", "watch")])
def test_shell_completion_knows_commands_of_all_rooms(words: str, expected: str) -> None:
    environment = {**os.environ, "_LIPSTREAM_COMPLETE": "complete_bash", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(words.split()) - 1)
    code = "from lipstream_client.cli import run; run([])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [expected]


def test_every_dependency_of_an_extra_has_a_hint() -> None:
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    modules_of = {"pillow": "PIL", "pyjwt": "jwt", "scikit-image": "skimage", "c2pa-python": "c2pa"}
    for extra in MODULES:
        for requirement in extras[extra]:
            name = re.split(r"[>=;\[]", requirement)[0]
            module = modules_of.get(name, name.replace("-", "_"))
            expected = "opentelemetry" if module.startswith("opentelemetry") else module
            assert extra_of(f"{expected}.part") == extra, requirement
            assert importlib.util.find_spec(expected) or extra == "live", requirement
