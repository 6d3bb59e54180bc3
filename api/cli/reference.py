"""The reference page of the command line, ``docs/cli.md``, made from what the parsers declare.

python -m headrace.api.cli.reference > docs/cli.md
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from headrace.api.cli import help as help_text
from headrace.api.cli.help import Option
from headrace.api.cli.main import COMMANDS
from headrace.api.cli.parser import CommandParser

PROGRAM = "headrace"

INTRODUCTION = """\
# The command line

`headrace` is the server and its client in one command; `influxdb3` is the same command under the name that
InfluxDB 3's documentation uses. This page is generated from the parsers (`make docs`).

- Options may come from environment variables, which are named beside them. An option that is typed wins.
- Exit codes: 0 for success, 1 when the command failed (the reason is on standard error), 2 when the command
  line itself is wrong, 130 after Ctrl-C.
- `COMMAND --help` lists the common options of a command, `COMMAND --help-all` lists all of them.
- Answers go to standard output, everything else to standard error.

What is different from InfluxDB 3's command:

- `write` sends one request at a time unless told otherwise, so that rows arrive in the order of the file, and cuts
  large input where lines end even if values hold line breaks. `--no-accept-partial` stores a request whole or not
  at all.
- `query` takes `--param` and `--params`, and speaks SQL only.
- `create trigger` takes `--memory-limit` and `--time-limit`, `enable trigger` takes `--from`; commas in plugin
  arguments are written `\\,`.
- `test request_plugin`, `test wal_plugin --last`, `show triggers` and `check` are additions.
- Questions are asked on standard error. A token that cannot be created is a failure with exit code 1.
- `headrace` alone prints help instead of starting a server, and `.env` files are not read.
"""


def page() -> str:
    """The whole page. The environment of this process leaves no trace in it."""
    set_here = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("INFLUXDB3_")}
    try:
        lines = [INTRODUCTION]
        for group in dict.fromkeys(command.group for command in COMMANDS):
            lines.append(f"## {group}\n")
            for command in COMMANDS:
                if command.group == group:
                    lines += section(command.parser(PROGRAM), command.alias)
        return "\n".join(lines).rstrip() + "\n"
    finally:
        os.environ.update(set_here)


def section(parser: CommandParser, alias: str | None = None) -> Iterator[str]:
    """One command: its leaves each as a section, or itself where it has none."""
    if not parser.commands:
        yield from leaf(parser, alias)
        return
    for child in dict.fromkeys(parser.commands.values()):
        yield from section(child)


def leaf(parser: CommandParser, alias: str | None) -> Iterator[str]:
    yield f"### {parser.prog}\n"
    yield parser.summary + (f". Short: `{PROGRAM} {alias}`" if alias else "") + ".\n"
    yield f"```text\n{help_text.usage(parser.prog, parser.options, has_commands=False)}\n```\n"
    shown = [option for option in parser.options if option.shown != "never"]
    sections = list(dict.fromkeys(option.section for option in shown))
    for name in sorted(sections, key=lambda name: name != "Arguments"):
        if len(sections) > 1:
            yield f"**{name}**\n"
        yield from table(option for option in shown if option.section == name)
        yield ""


def table(options: Iterable[Option]) -> Iterator[str]:
    yield "| | | |"
    yield "|:--|:--|:--|"
    for option in options:
        notes = [f"values `{'`, `'.join(option.choices)}`"] if option.choices else []
        notes += [f"default `{option.default}`"] if option.default is not None else []
        notes += [f"`{option.env.replace(', ', '`, `')}`"] if option.env is not None else []
        notes += ["required"] if option.required and option.flags else []
        notes += ["may be repeated"] if option.repeatable and option.flags else []
        yield f"| `{cell(option.label)}` | {cell(option.help)} | {cell('; '.join(notes))} |"


def cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
