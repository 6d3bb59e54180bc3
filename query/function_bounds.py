"""How much larger than its arguments a function's result can be.

A bound is ``factor × column + fixed``, in bytes, where a column is the longest value that tables are taken to hold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.query.errors import StatementRefused
from headrace.query.tokens import Token, TokenKind

COLUMN_BYTES: Final = 64 << 10
"""The longest string of InfluxDB 3. Longer ones can be stored here, and then grow by what the factors say."""
_MAX_FIXED_SIZE: Final = 10_000
_SERIES_BYTES: Final = 8 << 10
"""Of a series between dates, say a thousand days."""


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _and_lists(text: str) -> frozenset[str]:
    """Array functions under both of their names."""
    return words(text) | {name.replace("ARRAY_", "LIST_", 1) for name in text.split()}


_SUMS: Final = words("CONCAT MAKE_ARRAY MAKE_LIST MAP STRUCT NAMED_STRUCT ROW ARRAYS_ZIP") | _and_lists(
    "ARRAY_APPEND ARRAY_PUSH_BACK ARRAY_PREPEND ARRAY_PUSH_FRONT ARRAY_CONCAT ARRAY_CAT ARRAY_UNION ARRAY_ZIP"
)
_REPEATS: Final = _and_lists("REPEAT ARRAY_REPEAT")
_FILLS: Final = _and_lists("LPAD RPAD ARRAY_RESIZE")
_LIST_REPLACES: Final = _and_lists("ARRAY_REPLACE ARRAY_REPLACE_N ARRAY_REPLACE_ALL")
_JOINS: Final = _and_lists("ARRAY_TO_STRING ARRAY_JOIN")
_SPLITS: Final = words("STRING_TO_ARRAY STRING_TO_LIST")
SERIES: Final = words("RANGE GENERATE_SERIES")
COLLECTS: Final = words("ARRAY_AGG STRING_AGG")
CASTS: Final = words("ARROW_CAST ARROW_TRY_CAST")
GROWING: Final = (_SUMS | _REPEATS | _FILLS | _LIST_REPLACES | _JOINS | _SPLITS | SERIES | COLLECTS | CASTS) | words(
    "CONCAT_WS OVERLAY REPLACE TRANSLATE REGEXP_REPLACE REGEXP_MATCH ENCODE TO_CHAR DATE_FORMAT"
)

_FIXED_SIZE: Final = re.compile(r"FixedSize(?:List|Binary)\D*(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bound:
    """At most ``factor`` columns and ``fixed`` bytes."""

    factor: int = 0
    fixed: int = 0

    def __add__(self, other: Bound) -> Bound:
        return Bound(self.factor + other.factor, self.fixed + other.fixed)

    def times(self, count: int) -> Bound:
        return Bound(self.factor * count, self.fixed * count)

    @property
    def size(self) -> int:
        return self.factor * COLUMN_BYTES + self.fixed


COLUMN: Final = Bound(1)
_COLLECTED: Final = Bound(16)
"""A text or list of rows has no bound but the pool's; this leaves room to edit it a little."""


def largest_of(bounds: Iterable[Bound]) -> Bound:
    """A bound no smaller than any of these."""
    factor = fixed = 0
    for bound in bounds:
        factor, fixed = max(factor, bound.factor), max(fixed, bound.fixed)
    return Bound(factor, fixed)


def sum_of(bounds: Iterable[Bound]) -> Bound:
    return sum(bounds, Bound())


def check_type(arguments: Sequence[Sequence[Token]]) -> None:
    """A null of a type of a fixed size takes that size."""
    kind = arguments[1] if len(arguments) > 1 else ()
    sizes = [int(size[:20]) for token in kind for size in _FIXED_SIZE.findall(token.text)]
    if len(kind) != 1 or kind[0].kind is not TokenKind.STRING or math.prod(sizes) > _MAX_FIXED_SIZE:
        raise StatementRefused(
            f"the type in arrow_cast() must be a text in the statement, of a fixed size of at most {_MAX_FIXED_SIZE}"
        )


def grown(name: str, bounds: Sequence[Bound], texts: Sequence[Sequence[Token]]) -> Bound:
    """The bound of a growing function's result."""
    first = bounds[0]
    second = bounds[1] if len(bounds) > 1 else Bound()
    third = bounds[2] if len(bounds) > 2 else Bound(0, 8)
    if name in _SUMS:
        return sum_of(bounds) + Bound(0, 8 * len(bounds))
    if name in COLLECTS:
        return _COLLECTED + second
    if name in _REPEATS:
        return (first if name == "REPEAT" else first + Bound(0, 8)).times(_number(texts[1:2]))
    if name in _FILLS:
        return first + (third + Bound(0, 4)).times(_number(texts[1:2]))
    if name in _LIST_REPLACES:
        return first.times(1 + third.size) + third
    if name in _JOINS:
        return first.times(8 + second.size + (third.size if len(bounds) > 2 else 0))
    if name in _SPLITS:
        return first.times(16)
    if name in SERIES:
        return Bound(0, _series_bytes(texts))
    return _grown_text(name, bounds, texts, first, second, third)


def _grown_text(
    name: str,
    bounds: Sequence[Bound],
    texts: Sequence[Sequence[Token]],
    first: Bound,
    second: Bound,
    third: Bound,
) -> Bound:
    if name == "CONCAT_WS":
        return sum_of(bounds[1:]) + first.times(len(bounds))
    if name == "OVERLAY":
        return sum_of(bounds).times(2)  # OVERLAY(a PLACING b FROM 3) is one argument here
    if name == "REPLACE":
        looked_for = _text(texts[1:2])
        if looked_for:
            return first.times(max(1, math.ceil(third.size / len(looked_for.encode()))))
        return first.times(1 + third.size) + third
    if name == "TRANSLATE":
        plain = _text(texts[2:3])
        return first if plain is not None and plain.isascii() else first.times(max(4, third.size))
    if name == "REGEXP_REPLACE":
        text = _text(texts[2:3])
        groups = third.size if text is None else text.count("\\") + text.count("$")
        everywhere = len(texts) > 3
        return first.times(1 + groups + (third.size if everywhere else 0)) + third
    if name == "REGEXP_MATCH":
        pattern = _text(texts[1:2])
        return first.times(1 + (second.size if pattern is None else pattern.count("(")))
    if name == "ENCODE":
        return first.times(2)
    if name in ("TO_CHAR", "DATE_FORMAT"):
        return second.times(24) + Bound(0, 64)
    return largest_of(bounds)


def _text(argument: Sequence[Sequence[Token]]) -> str | None:
    """The plain text that an argument is, if it is one."""
    if len(argument) == 1 and len(argument[0]) == 1 and argument[0][0].kind is TokenKind.STRING:
        return argument[0][0].text[1:-1].replace("''", "'")
    return None


def _number(argument: Sequence[Sequence[Token]]) -> int:
    """A count, which :mod:`headrace.query.guard` has seen to be a small number."""
    text = argument[0][0].text if argument and argument[0] else ""
    return int(text) if text.isdecimal() else 1


def _series_bytes(arguments: Sequence[Sequence[Token]]) -> int:
    texts = ["".join(token.text for token in argument) for argument in arguments]
    if not all(re.fullmatch(r"[+-]?[0-9]{1,19}", text) for text in texts) or not 1 <= len(texts) <= 3:
        return _SERIES_BYTES
    numbers = [int(text) for text in texts]
    first, last = numbers[:2] if len(numbers) > 1 else (0, numbers[0])
    return 8 * (1 + abs(last - first) // max(1, abs(numbers[2]) if len(numbers) == 3 else 1))
