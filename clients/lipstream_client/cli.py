"""The `lipstream` command: a table of commands, of which only the one that is asked for is imported.

The table names functions by string. That is what lets `lipstream --help` answer at once, and this room
stay free of the others: a command lives in the room that does its work and is a plain function, whose
parameters typer turns into arguments and options.

How a command fails: an exception that has an `exit_code` is meant for whoever typed the command. Its
message is printed as one line, and the program ends with that code. So does an OSError (a missing file, a
full disk), with code 2. Anything else is a fault of ours and shows its traceback. Ctrl-C ends with 130 and
a termination signal with 143, both after every `with` block on the way has finished its work.
"""

import difflib
import importlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType, MappingProxyType

from . import __version__
from .core_sharing import share_cores


@dataclass(frozen=True)
class Command:
    """Where a command is ("module:function") and what it does, in a line."""

    target: str
    help: str


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "render": Command(
            "lipstream_server.commands.render:render", "a portrait and a recording become a talking video"
        ),
        "serve": Command(
            "lipstream_server.commands.serve:serve", "talking heads over a WebSocket, in real time"
        ),
        "config": Command(
            "lipstream_server.commands.config:config", "the settings of a server, and where each comes from"
        ),
        "keys": Command("lipstream_server.commands.keys:keys", "who may use a server: add, list, rm"),
        "stream": Command(
            "lipstream_client.commands.stream:stream", "a recording or a microphone through a server"
        ),
        "avatars": Command(
            "lipstream_client.commands.avatars:avatars", "the faces of a server: add, list, rm"
        ),
        "clips": Command(
            "lipstream_client.commands.clips:clips",
            "videos that a server makes: create, watch, get, list, rm",
        ),
        "bench-stream": Command(
            "lipstream_client.commands.bench_stream:bench_stream", "several such streams at once, and figures"
        ),
        "demo": Command(
            "lipstream_server.commands.demo:demo",
            "a server, a bundled face and voice, and the way to the browser",
        ),
        "convert": Command(
            "lipstream_models.commands.convert:convert_command",
            "Hallo's weights as safetensors in half precision",
        ),
        "analyse": Command(
            "lipstream_models.commands.analyse:analyse_command",
            "features and attentions over the steps of a clip, drawn",
        ),
        "tune": Command(
            "lipstream_models.commands.tune:tune_command",
            "a plan for a model, found by search against a budget",
        ),
        "evaluate": Command(
            "lipstream_models.commands.evaluate:evaluate_command",
            "every preset on a folder of videos: time and fidelity",
        ),
        "plan": Command("lipstream_models.commands.plan:plan_command", "how a preset samples, and its FLOPs"),
    }
)

_OVERVIEW = """\
Usage: lipstream COMMAND ...

Real-time talking heads.

{table}

  --version  print the version

lipstream COMMAND --help tells what a command takes."""
_USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments (by default the process's) name, then leave with its exit code."""
    share_cores(os.environ)
    sys.exit(run(sys.argv[1:] if arguments is None else arguments, COMMANDS))


def run(arguments: Sequence[str], commands: Mapping[str, Command]) -> int:
    """Run one command of the table and return its exit code."""
    name, *rest = arguments or ["--help"]
    if name in ("--help", "-h", "help"):
        print(overview(commands))
        return 0
    if name == "--version":
        print(f"lipstream {__version__}")
        return 0
    if name not in commands:
        return _say(unknown(name, commands), _USAGE_ERROR)
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        return _call(name, commands[name], rest)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
        code = getattr(error, "exit_code", _USAGE_ERROR if isinstance(error, OSError) else None)
        if not isinstance(code, int):
            raise
        return _say(_one_line(error), code)
    finally:
        signal.signal(signal.SIGTERM, before)


def overview(commands: Mapping[str, Command]) -> str:
    """What `lipstream --help` prints."""
    table = "\n".join(f"  {name:12} {command.help}" for name, command in commands.items())
    return _OVERVIEW.format(table=table)


def unknown(name: str, commands: Mapping[str, Command]) -> str:
    """What is said to a name that is not in the table."""
    near = difflib.get_close_matches(name, commands, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"there is no command {name!r}, only {', '.join(commands)}{hint}"


def load(command: Command) -> Callable[..., object]:
    """Import the function behind a command."""
    module, _, function = command.target.partition(":")
    loaded: Callable[..., object] = getattr(importlib.import_module(module), function)
    return loaded


def _call(name: str, command: Command, arguments: Sequence[str]) -> int:
    import typer  # here, so that `lipstream --help` need not wait for it

    app = load(command)
    if not isinstance(app, typer.Typer):  # which has commands of its own
        function, app = app, typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command(name)(function)
    try:
        app(list(arguments), prog_name=f"lipstream {name}")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _say(message: str, code: int) -> int:
    print(f"lipstream: {message}", file=sys.stderr)
    return code
