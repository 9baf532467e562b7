"""The `lipstream` command: a group whose commands are imported only when they are called.

Every room lists its commands in a mapping from name to `(target, help)` and registers it as an entry point of the group
`lipstream.commands`; a target (`module:function`) is a plain function, whose parameters typer turns into arguments and
options, or a `typer.Typer`. So `lipstream --help` answers at once, and this room needs none of the others. Functions
registered in the group `lipstream.startup` are called before a command is imported.

An exception with an `exit_code` is meant for the user: its message is printed as one line, and the program ends with that
code. So does an OSError (a missing file, a full disk), with code 2, and a module that an extra brings and that is not
installed. Any other exception shows its traceback. Ctrl-C ends with 130 and a termination signal with 143, both after every
`with` block on the way has finished its work.
"""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from . import __version__
from .extras import extra_of, install_hint

COMMANDS_GROUP = "lipstream.commands"
STARTUP_GROUP = "lipstream.startup"
_USAGE_ERROR = 2


@dataclass(frozen=True)
class CommandEntry:
    """Where a command is (`module:function`), what it does in a line, and the heading under which the help lists it."""

    target: str
    help: str
    room: str = "Commands"


class LazyGroup(TyperGroup):
    """A group that knows name and help of its commands, and imports the one that is called."""

    entries: Mapping[str, CommandEntry]

    def register(self, entries: Mapping[str, CommandEntry]) -> None:
        """Add commands by their entries alone."""
        self.entries = entries
        for name, entry in entries.items():
            self.add_command(TyperCommand(name, help=entry.help))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write name and help of every command, one section for each room."""
        for room in dict.fromkeys(entry.room for entry in self.entries.values()):
            rows = [(name, entry.help) for name, entry in self.entries.items() if entry.room == room]
            with formatter.section(room):
                formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import the command that the arguments name. Raises a usage error with suggestions for an unknown one."""
        name, command, rest = super().resolve_command(ctx, args)
        entry = self.entries.get(name or "")
        return name, command if entry is None else load_command(name or "", entry), rest


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments (by default the process's) name, then leave with its exit code."""
    for hook in entry_points(group=STARTUP_GROUP):
        hook.load()()
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str], commands: Mapping[str, CommandEntry] | None = None) -> int:
    """Run one command and return its exit code. commands: by default those of all installed rooms."""
    group = build_group(find_commands() if commands is None else commands)
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        group.main(list(arguments) or ["--help"], prog_name="lipstream")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except ModuleNotFoundError as error:
        extra = extra_of(error.name)
        if extra is None:
            raise
        need = (
            f"this command needs the module {error.name}; install the extra {extra!r}: {install_hint(extra)}"
        )
        return _fail(need, _USAGE_ERROR)
    except Exception as error:
        code = getattr(error, "exit_code", _USAGE_ERROR if isinstance(error, OSError) else None)
        if not isinstance(code, int):
            raise
        return _fail(" ".join(str(error).split()) or type(error).__name__, code)
    finally:
        signal.signal(signal.SIGTERM, previous)
    return 0


def find_commands() -> dict[str, CommandEntry]:
    """Return the commands of all installed rooms, by name."""
    return {
        name: CommandEntry(target, text, room.name.capitalize())
        for room in sorted(entry_points(group=COMMANDS_GROUP))
        for name, (target, text) in room.load().items()
    }


def build_group(commands: Mapping[str, CommandEntry]) -> LazyGroup:
    """Return the command group `lipstream` with these commands."""
    # Without rich, which takes longer to import than all the rest: the overview answers at once.
    app = typer.Typer(cls=LazyGroup, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.callback()(_lipstream)
    group = get_command(app)
    assert isinstance(group, LazyGroup)
    group.register(commands)
    return group


def load_command(name: str, entry: CommandEntry) -> Any:
    """Import a command."""
    module, _, function = entry.target.partition(":")
    app = getattr(importlib.import_module(module), function)
    if not isinstance(app, typer.Typer):  # which has commands of its own
        app, command = typer.Typer(add_completion=False, pretty_exceptions_enable=False), app
        app.command(name)(command)
    return get_command(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lipstream {__version__}")
        raise typer.Exit


def _lipstream(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Real-time talking heads. `lipstream COMMAND --help` describes a command."""


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _fail(message: str, code: int) -> int:
    print(f"lipstream: {message}", file=sys.stderr)
    return code
