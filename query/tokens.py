"""SQL cut into tokens, as far as refusing statements and binding quoted parameters need it.

The engine's own parser decides what a statement means. These tokens only have to agree with it about
where strings, quoted names and comments begin and end (the generic dialect of ``sqlparser``: ``''`` and
``""`` as escapes, nested ``/* */``, ``$tag$`` strings, ``E'…'`` with backslashes).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto


class TokenKind(Enum):
    WORD = auto()
    QUOTED_NAME = auto()
    STRING = auto()
    """A plain ``'…'``."""
    OTHER_STRING = auto()
    """``E'…'`` and the like, ``$tag$…$tag$``, or a string that never ends."""
    PLACEHOLDER = auto()
    NUMBER = auto()
    SYMBOL = auto()


@dataclass(frozen=True, slots=True)
class Token:
    kind: TokenKind
    text: str
    start: int
    """Offset of the first character in the statement."""

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def word(self) -> str:
        """The upper-cased text of a word; nothing for other tokens."""
        return self.text.upper() if self.kind is TokenKind.WORD else ""


_PATTERN = re.compile(
    r"""
      (?P<skip>\s+|--[^\n]*)
    | (?P<comment>/\*)
    | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*'?)
    | (?P<prefixed>(?:[nNbBxXrR]|[uU]&)'(?:[^']|'')*'?)
    | (?P<string>'(?:[^']|'')*')
    | (?P<open>'.*)
    | (?P<name>"(?:[^"]|"")*"?|`(?:[^`]|``)*`?)
    | (?P<dollar>\$(?P<tag>\w*)\$)
    | (?P<placeholder>\$\w+)
    | (?P<number>\d[\w.]*|\.\d[\w.]*)
    | (?P<word>[^\W\d]\w*)
    | (?P<symbol>::|\|\||<=|>=|<>|!=|==|->>|->|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_KINDS = {
    "escaped": TokenKind.OTHER_STRING,
    "prefixed": TokenKind.OTHER_STRING,
    "string": TokenKind.STRING,
    "open": TokenKind.OTHER_STRING,
    "name": TokenKind.QUOTED_NAME,
    "dollar": TokenKind.OTHER_STRING,
    "placeholder": TokenKind.PLACEHOLDER,
    "number": TokenKind.NUMBER,
    "word": TokenKind.WORD,
    "symbol": TokenKind.SYMBOL,
}


def tokenize(statement: str) -> list[Token]:
    """The tokens of a statement, without white space and comments. Never fails: nonsense becomes symbols."""
    return list(_tokens(statement))


def _tokens(statement: str) -> Iterator[Token]:
    at = 0
    while at < len(statement):
        match = _PATTERN.match(statement, at)
        assert match is not None  # the last alternative takes any character
        group = match.lastgroup if match.lastgroup != "tag" else "dollar"
        end = match.end()
        if group == "comment":
            end = _end_of_comment(statement, end)
        elif group != "skip":
            if group == "dollar":
                close = statement.find(match.group(), end)
                end = len(statement) if close < 0 else close + len(match.group())
            assert group is not None
            yield Token(_KINDS[group], statement[at:end], at)
        at = end


def _end_of_comment(statement: str, at: int) -> int:
    depth = 1
    while depth and (edge := _COMMENT_EDGE.search(statement, at)):
        depth += 1 if edge.group() == "/*" else -1
        at = edge.end()
    return len(statement) if depth else at
