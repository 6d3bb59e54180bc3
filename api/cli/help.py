"""Help texts, rendered from the options a parser declared: the same whatever the Python version."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Shown = Literal["always", "all", "never"]

LABEL_WIDTH = 32
NARROWEST, WIDEST = 60, 110


@dataclass(frozen=True, slots=True)
class Option:
    """One option, or one positional argument, as help and the reference page show it."""

    flags: tuple[str, ...]
    """As typed, short one first; empty for a positional argument."""
    metavar: str | None
    """What stands for the value; None for a flag without one."""
    help: str
    env: str | None
    default: str | None
    """As text; None where there is none worth showing."""
    required: bool
    choices: tuple[str, ...]
    section: str
    shown: Shown = "always"
    """``all``: with ``--help-all`` only. ``never``: taken, for scripts written for another server, and not listed."""
    repeatable: bool = False

    @property
    def label(self) -> str:
        """``-d, --database <DATABASE_NAME>``, or ``<TABLE_NAME>`` for a positional argument."""
        if not self.flags:
            many = "..." if self.repeatable else ""
            return f"<{self.metavar}>{many}" if self.required else f"[{self.metavar}]{many}"
        return ", ".join(self.flags) + (f" <{self.metavar}>" if self.metavar else "")

    @property
    def description(self) -> str:
        """The help text and what the declaration adds to it: values, default, environment variable."""
        parts = [self.help]
        if self.choices:
            parts.append(f"[possible values: {', '.join(self.choices)}]")
        if self.default is not None:
            parts.append(f"[default: {self.default}]")
        if self.env is not None:
            parts.append(f"[env: {self.env}]")
        return " ".join(parts)


def usage(program: str, options: Iterable[Option], *, has_commands: bool) -> str:
    """The command line in short: required options, then arguments."""
    words = [program, "[OPTIONS]"]
    words += [f"{option.flags[-1]} <{option.metavar}>" for option in options if option.required and option.flags]
    words += ["<COMMAND>"] if has_commands else []
    words += [option.label for option in options if not option.flags]
    return " ".join(words)


def render(
    program: str,
    summary: str,
    options: Iterable[Option],
    commands: Mapping[str, str],
    *,
    epilog: str = "",
    everything: bool = False,
) -> str:
    """The whole help text. ``commands`` maps subcommands to summaries; ``everything`` is ``--help-all``."""
    listed = [option for option in options if option.shown != "never"]
    width = min(max(shutil.get_terminal_size((WIDEST, 24)).columns, NARROWEST), WIDEST)
    lines = [summary, "", f"Usage: {usage(program, listed, has_commands=bool(commands))}", ""]
    if commands:
        lines += ["Commands:"]
        lines += [line for name, text in commands.items() for line in entry(name, text, width)]
        lines += [""]
    shown = [option for option in listed if everything or option.shown == "always"]
    sections = dict.fromkeys(option.section for option in shown)
    for section in sorted(sections, key=lambda name: name != "Arguments"):
        lines += [f"{section}:"]
        for option in shown:
            if option.section == section:
                lines += entry(option.label, option.description, width)
        lines += [""]
    if len(shown) < len(listed):
        lines += [f"Run '{program} --help-all' for all {len(listed)} options.", ""]
    if epilog:
        lines += [epilog, ""]
    return "\n".join(lines)


def entry(label: str, text: str, width: int) -> list[str]:
    """``label`` and the wrapped ``text`` beside it, or below where the label is long."""
    # A no-break space keeps "[env: NAME]" in one piece; textwrap breaks at plain spaces only.
    text = re.sub(r"\[(env|default): ", "[\\1:\u00a0", text)
    wrapped = textwrap.wrap(text, width - LABEL_WIDTH, break_long_words=False, break_on_hyphens=False)
    wrapped = [line.replace("\u00a0", " ") for line in wrapped]
    indent = " " * LABEL_WIDTH
    if len(label) + 4 > LABEL_WIDTH:
        return [f"  {label}", *(indent + line for line in wrapped)]
    return [f"  {label}".ljust(LABEL_WIDTH) + (wrapped or [""])[0], *(indent + line for line in wrapped[1:])]
