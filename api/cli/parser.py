"""Argument parsing in the manner of InfluxDB 3's CLI: environment variables, its error texts, near misses.

:class:`CommandParser` is an ``argparse`` parser that remembers what was declared, so that help and the
reference page come from one place, and that words usage errors as ``clap`` does.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from headrace.api.cli import help as help_text
from headrace.api.cli.errors import UsageError
from headrace.api.cli.help import Option, Shown

_UNSET = object()
_FLAG_ACTIONS = ("store_true", "store_false")
_HELP_FLAGS = (("-h", "--help"), ("--help-all",))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The name in ``known`` that ``word`` is most likely a misspelling of, if any is close."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Choice:
    """An option's value that must be one of ``values``: an ``argparse`` type with a near-miss hint."""

    values: tuple[str, ...]

    def __call__(self, text: str) -> str:
        if text in self.values:
            return text
        message = f"invalid value '{text}'\n  [possible values: {', '.join(self.values)}]"
        guess = nearest(text, self.values)
        if guess is not None:
            message += f"\n\n  tip: a similar value exists: '{guess}'"
        raise argparse.ArgumentTypeError(message)


class CommandParser(argparse.ArgumentParser):
    """A parser of one command. ``options`` and ``commands`` list what was declared, in order."""

    def __init__(self, prog: str, summary: str, *, epilog: str = "") -> None:
        super().__init__(prog=prog, add_help=False, allow_abbrev=False)
        self.summary = summary
        self.options: list[Option] = []
        self.commands: dict[str, CommandParser] = {}
        self._trailer = epilog
        self._section = "Options"
        self._declared: list[dict[str, Any]] = []
        self._parent: CommandParser | None = None
        self._children: argparse._SubParsersAction[CommandParser] | None = None

    def section(self, title: str) -> None:
        """Options declared from here on are listed under ``title``."""
        self._section = title

    def option(
        self,
        *flags: str,
        help: str,
        env: str | None = None,
        default: object = _UNSET,
        required: bool = False,
        shown: Shown = "always",
        metavar: str | None = None,
        **settings: Any,
    ) -> None:
        """Declare an option. A set and non-empty ``env`` stands in where the flag is not given.

        ``default`` is a value, or a string that is converted like one that was typed; without one it is
        False for a flag and None otherwise. ``settings`` go to ``argparse`` as they are.
        """
        is_flag = settings.get("action") in _FLAG_ACTIONS
        if default is _UNSET:
            default = False if is_flag else None
        kind = settings.get("type")
        declared = Option(
            flags=flags,
            metavar=None if is_flag else metavar or flags[-1].lstrip("-").replace("-", "_").upper(),
            help=help,
            env=env,
            default=None if is_flag or default in (None, [], {}) else str(default),
            required=required,
            choices=kind.values if isinstance(kind, Choice) else (),
            section=self._section,
            shown=shown,
            repeatable=settings.get("action") in ("append", "extend"),
        )
        value = os.environ.get(env) or None if env else None
        if value is not None:
            default = value.lower() not in ("false", "0", "no", "off") if is_flag else value
        self.declare(declared, **settings, default=default, required=required and value is None)

    def declare(self, option: Option, **settings: Any) -> None:
        """Add ``option`` with ``argparse``'s own ``settings``: for options that are described elsewhere."""
        self.options.append(option)
        self._declared.append(settings)
        self.add_argument(*option.flags, **settings)

    def argument(
        self,
        name: str,
        *,
        help: str,
        env: str | None = None,
        nargs: str | None = None,
        type: Callable[[str], object] = str,
    ) -> None:
        """Declare a positional argument, required unless ``nargs`` says otherwise or ``env`` is set."""
        many = nargs in ("*", "+")
        self.options.append(Option((), name.upper(), help, env, None, nargs is None, (), "Arguments", repeatable=many))
        value = os.environ.get(env) or None if env else None
        if value is not None and nargs is None:
            nargs = "?"
        self.add_argument(name, metavar=f"<{name.upper()}>", nargs=nargs, default=value, type=type)

    def command(self, name: str, summary: str, *, aliases: tuple[str, ...] = (), epilog: str = "") -> CommandParser:
        """Declare the subcommand ``name`` and return its parser."""
        if self._children is None:
            self._children = self.add_subparsers(metavar="<COMMAND>", parser_class=CommandParser, required=False)
        child = self._children.add_parser(
            name, aliases=aliases, prog=f"{self.prog} {name}", summary=summary, epilog=epilog
        )
        child._parent = self
        self.commands |= dict.fromkeys((name, *aliases), child)
        return child

    def inherit(self, parent: CommandParser) -> None:
        """Take the options of ``parent`` as well; what was said before the subcommand stays unless said again."""
        for option, settings in zip(parent.options, parent._declared, strict=True):
            self.declare(option, **{**settings, "default": argparse.SUPPRESS, "required": False})

    def parse(self, argv: list[str]) -> argparse.Namespace:
        """Parse ``argv``. Raises :class:`UsageError`; prints help and exits with 0 where that was asked for."""
        innermost = self._innermost(argv)
        words = argv[: argv.index("--")] if "--" in argv else argv
        if asked := [word for word in words if word in ("-h", "--help", "--help-all")]:
            print(innermost.help("--help-all" in asked), end="")
            raise SystemExit(0)
        innermost._refuse_unknown(words)
        args, extra = self.parse_known_args(argv)
        if extra:
            innermost.error(f"unexpected argument '{extra[0]}' found")
        if not hasattr(args, "run"):
            raise UsageError(innermost.help().rstrip())
        return args

    def help(self, everything: bool = False) -> str:
        """The help text; with ``everything`` that of ``--help-all``."""
        commands = {child.prog.rpartition(" ")[2]: child.summary for child in self.commands.values()}
        own = [*self.options, *(_help_option(flags) for flags in _HELP_FLAGS)]
        return help_text.render(self.prog, self.summary, own, commands, epilog=self._trailer, everything=everything)

    def _innermost(self, argv: list[str]) -> CommandParser:
        """The parser of the last subcommand named in ``argv``: the one whose help is meant."""
        parser = self
        for word in argv:
            parser = parser.commands.get(word, parser)
        return parser

    def _refuse_unknown(self, words: list[str]) -> None:
        """Name a misspelt option before anything else: what it was meant to say is then not missing."""
        own = {flag for option in self.options for flag in option.flags}
        known: set[str] = set()
        parser: CommandParser | None = self
        while parser is not None:
            known |= {flag for option in parser.options for flag in option.flags}
            parser = parser._parent
        for word in words:
            name = word.partition("=")[0]
            if name.startswith("--") and name not in known:
                guess = nearest(name, own)
                tip = f"\n\n  tip: a similar argument exists: '{guess}'" if guess else ""
                self.error(f"unexpected argument '{name}' found{tip}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            guess = nearest(value, self.commands)
            tip = f"\n\n  tip: a similar subcommand exists: '{guess}'" if guess else ""
            self.error(f"unrecognized subcommand '{value}'{tip}")

    def error(self, message: str) -> NoReturn:
        """Raise :class:`UsageError` with ``message`` worded as InfluxDB 3's CLI does."""
        missing = re.fullmatch(r"the following arguments are required: (.+)", message)
        if missing:
            names = "".join(f"\n  {self._labelled(name)}" for name in missing[1].split(", "))
            message = f"the following required arguments were not provided:{names}"
        named = re.fullmatch(r"argument ([^:]+): (.+)", message, re.DOTALL)
        if named:
            message = self._about(self._labelled(named[1]), named[2])
        line = help_text.usage(self.prog, self.options, has_commands=bool(self.commands))
        raise UsageError(f"error: {message}\n\nUsage: {line}\n\nFor more information, try '--help'.")

    def _labelled(self, name: str) -> str:
        for option in self.options:
            if name.split("/")[-1] in option.flags:
                return f"{option.flags[-1]} <{option.metavar}>"
        return name

    def _about(self, label: str, problem: str) -> str:
        if problem == "expected one argument":
            return f"a value is required for '{label}' but none was supplied"
        invalid = re.match(r"invalid value '[^\n]*?'(?=$|:|\n)", problem)
        if invalid:
            return f"{invalid[0]} for '{label}'{problem[invalid.end() :]}"
        return f"{label}: {problem}"


def _help_option(flags: tuple[str, ...]) -> Option:
    text = "Print help information" if "-h" in flags else "Print help on every option"
    return Option(flags, None, text, None, None, False, (), "Options")
