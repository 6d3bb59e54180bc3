"""The entry point: find the command that was typed, import its module, run it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from headrace.api.cli.errors import CommandFailed, UsageError
from headrace.api.cli.parser import CommandParser, nearest

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the first level; its module has ``configure(parser)`` and is imported when it is typed."""

    name: str
    summary: str
    group: str
    alias: str | None = None

    def parser(self, program: str) -> CommandParser:
        module = import_module(f"headrace.api.cli.{self.name}")
        parser = CommandParser(f"{program} {self.name}", self.summary)
        module.configure(parser)
        return parser


COMMANDS = (
    Command("serve", "Run the server", "Common commands"),
    Command("query", "Query a running server", "Common commands", alias="q"),
    Command("write", "Write line protocol to a running server", "Common commands", alias="w"),
    Command("update", "Update a database or a trigger's plugin", "Resources"),
    Command("create", "Create a database, table, token or trigger", "Resources"),
    Command("show", "List databases, tokens, plugins, triggers and system tables", "Resources"),
    Command("delete", "Delete a database, table, token or trigger", "Resources"),
    Command("enable", "Enable a trigger", "Resources"),
    Command("disable", "Disable a trigger", "Resources"),
    Command("install", "Install Python packages for plugins", "Processing engine"),
    Command("test", "Run a plugin once and see what it would do", "Processing engine"),
    Command("check", "Check the files of a data directory, server stopped", "Diagnostics"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 for a failed command, 2 for a wrong command line."""
    words = list(sys.argv[1:] if argv is None else argv)
    program = program_name()
    if not words or words[0] in ("-h", "--help", "--help-all"):
        print(overview(program), end="", file=sys.stdout if words else sys.stderr)
        return 0 if words else EXIT_USAGE
    if words[0] in ("-V", "--version"):
        print(f"{program} {version()}")
        return 0
    command = find(words[0])
    if command is None:
        print(unknown(program, words[0]), file=sys.stderr)
        return EXIT_USAGE
    try:
        args = command.parser(program).parse(words[1:])
        return int(args.run(args) or 0)
    except UsageError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    except CommandFailed as error:
        print(f"{command.name.capitalize()} command failed: {error}", file=sys.stderr)
        return EXIT_FAILURE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of standard output went away, as `head` does: nothing is wrong. Python would
        # complain once more when it flushes at exit, so give it somewhere to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE


def program_name() -> str:
    """``headrace``, or ``influxdb3`` where it was called by that name."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    return name if name == "influxdb3" else "headrace"


def version() -> str:
    from importlib.metadata import version

    return version("headrace")


def find(word: str) -> Command | None:
    return next((command for command in COMMANDS if word in (command.name, command.alias)), None)


def unknown(program: str, word: str) -> str:
    kind = "argument" if word.startswith("-") else "subcommand"
    message = f"error: unrecognized {kind} '{word}'"
    guess = nearest(word, [command.name for command in COMMANDS] + ["--help", "--version"])
    if guess is not None:
        message += f"\n\n  tip: a similar {kind} exists: '{guess}'"
    return f"{message}\n\nUsage: {program} [OPTIONS] [COMMAND]\n\nFor more information, try '--help'."


def overview(program: str) -> str:
    """The text of ``--help``, made from :data:`COMMANDS`."""
    lines = ["A time-series database in Python: line protocol in, SQL out, plugins on the way.", ""]
    lines += [f"Usage: {program} [OPTIONS] [COMMAND]", ""]
    for group in dict.fromkeys(command.group for command in COMMANDS):
        lines.append(f"{group}:")
        lines += [f"  {command.name:<9} {command.summary}" for command in COMMANDS if command.group == group]
        lines.append("")
    lines += ["Options:", "  -h, --help     Print help information", "  -V, --version  Print version information", ""]
    lines += [f"Run '{program} COMMAND --help' for the options of a command.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
