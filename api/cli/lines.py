"""Cutting a stream of line protocol into bodies of bounded size, at the ends of lines only.

A newline inside a quoted string value, or behind a backslash, belongs to the line, so the last newline of a
block is not always the end of one. Blocks with neither a quote nor such a newline need no more than a look
for their last newline; others are walked line by line by a regular expression whose groups are possessive,
so that its time is linear in the input whatever the input is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

READ_BYTES = 1 << 22

# A line that never ends (a quote that is not closed) must not make the client hold the whole file.
LONGEST_LINE_FACTOR = 4

_LINE = rb"""
    [\ \t\r]*+
    (?: \# [^\n]*+                            # a comment
    |   (?: [^\\\ \n]++ | \\. )*+             # measurement and tags, up to the first space
        (?: [^=\\\n]++ | \\.                  # a field's name, or the timestamp
        |   = (?: [^,"\\\n]++ | \\.           # a value, with a string in quotes
              |   " (?: [^"\\]++ | \\. )*+ (?: " | \\?\Z )
              )*+
        )*+
    )
    \n
"""
_ONE = re.compile(_LINE, re.VERBOSE | re.DOTALL)
_MANY = re.compile(rb"(?:" + _LINE + rb")*+", re.VERBOSE | re.DOTALL)


def whole_lines(block: bytes) -> int:
    """How many bytes at the start of ``block`` are whole lines, with their newlines."""
    if b'"' not in block and b"\\\n" not in block:
        return block.rfind(b"\n") + 1
    found = _MANY.match(block)
    return found.end() if found else 0


def chunks(source: BinaryIO, limit: int) -> Iterator[bytes]:
    """The bytes of ``source`` in order, in pieces of at most ``limit`` bytes that end where a line ends.

    A single line longer than ``limit`` is a piece of its own; beyond four times ``limit``, and 16 MiB, it is cut
    at any newline, since it can only be a quote that is never closed: the server names the line.
    """
    longest = max(LONGEST_LINE_FACTOR * limit, LONGEST_LINE_FACTOR * READ_BYTES)
    rest = b""
    ended = False
    while True:
        while len(rest) < limit and not ended:
            read = source.read(max(READ_BYTES, limit - len(rest)))
            ended = not read
            rest += read
        if len(rest) <= limit and ended:
            if rest:
                yield rest
            return
        end = whole_lines(rest[:limit]) or _first_line(rest)
        while end == 0 and not ended and len(rest) < longest:
            read = source.read(READ_BYTES)
            ended = not read
            rest += read
            end = _first_line(rest)
        if end == 0 and ended:
            end = min(_first_line(rest + b"\n"), len(rest))  # the last line may lack its newline
        if end == 0:
            end = rest.rfind(b"\n", 0, limit) + 1 or rest.find(b"\n") + 1 or len(rest)
        yield rest[:end]
        rest = rest[end:]


def _first_line(block: bytes) -> int:
    """Where the first line of ``block`` ends, 0 if it does not end in it."""
    found = _ONE.match(block)
    return found.end() if found else 0
