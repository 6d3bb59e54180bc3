"""Where answers go: standard output, or the file named by ``--output``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from headrace.api.cli.errors import CommandFailed
from headrace.api.cli.parser import Choice, CommandParser

FORMATS = Choice(("pretty", "json", "jsonl", "csv", "parquet"))


def add_format(parser: CommandParser) -> None:
    """Declare ``--format`` and ``--output``."""
    parser.option("--format", type=FORMATS, default="pretty", help="The format of the output")
    parser.option("-o", "--output", metavar="FILE", type=Path, help="Write the output to this file")


def check_destination(result_format: str, path: Path | None) -> None:
    """Refuse to pour Parquet into a terminal."""
    if result_format == "parquet" and path is None and sys.stdout.isatty():
        raise CommandFailed("cannot write parquet to a terminal, use `--output <file>` or pipe the output")


def write_answer(pieces: Iterable[bytes], path: Path | None, *, text: bool = True) -> None:
    """Write ``pieces`` as they come. On standard output, text ends with a newline."""
    if path is not None:
        try:
            with path.open("wb") as file:
                file.writelines(pieces)
        except OSError as error:
            raise CommandFailed(f"io error: {path}: {error.strerror}") from error
        return
    last = b"\n"
    for piece in pieces:
        sys.stdout.buffer.write(piece)
        last = piece[-1:]
    if text and last != b"\n":
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


def confirm(question: str, *, accepted: tuple[str, ...] = ("yes", "y")) -> None:
    """Ask on standard error and read one line. Raises :class:`CommandFailed` unless it is one of ``accepted``."""
    print(question, file=sys.stderr)
    if sys.stdin.readline().strip().lower() not in accepted:
        raise CommandFailed("Cannot proceed without confirmation")


def styled(text: str, code: str) -> str:
    """``text`` in the terminal style ``code``, plain where standard output is no terminal."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{code}m{text}\x1b[0m"
