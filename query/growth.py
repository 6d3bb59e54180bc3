"""How large the values of a statement can become, told from its text.

The memory pool bounds sorting, grouping and joining. A function's result it does not see: the engine makes it
for a whole batch of rows at once, and nothing can stop it in between. So a statement whose functions multiply
the size of values too often is refused, and one that multiplies them often is computed in smaller batches.

A bound is ``factor × column + fixed``, in bytes. A function that puts texts or lists together adds its
arguments' bounds, one that replaces multiplies them, any other result is as large as its largest argument. What
one SELECT makes may be a column of another: the factors of all SELECTs are multiplied. Of values in tables
``_COLUMN_BYTES`` are assumed. Not being a parser, this counts too much rather than too little.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.query.errors import StatementRefused, StatementTooLarge
from headrace.query.tokens import Token, TokenKind

_MAX_VALUE_BYTES: Final = 64 << 20
_MAX_ROW_BYTES: Final = 4 * _MAX_VALUE_BYTES
_COLUMN_BYTES: Final = 64 << 10
"""The longest string of InfluxDB 3. Longer ones can be stored here, and then grow by what the factors say."""
_USUAL_BYTES: Final = 256
"""What a value of a column takes when the size of a batch is chosen."""
_BATCH_BYTES: Final = 64 << 20
BATCH_ROWS: Final = 8_192
"""What the engine takes by itself."""
_COLLECTED_ROWS: Final = 128
"""A join may repeat a value that was collected in a subquery, of any size, for each row of a batch."""
_MAX_DEPTH: Final = 200
_MAX_FIXED_SIZE: Final = 10_000
_SERIES_BYTES: Final = 8 << 10
"""Of a series between dates, say a thousand days."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _and_lists(text: str) -> frozenset[str]:
    """Array functions under both of their names."""
    return _words(text) | {name.replace("ARRAY_", "LIST_", 1) for name in text.split()}


_SUMS: Final = _words("CONCAT MAKE_ARRAY MAKE_LIST MAP STRUCT NAMED_STRUCT ROW ARRAYS_ZIP") | _and_lists(
    "ARRAY_APPEND ARRAY_PUSH_BACK ARRAY_PREPEND ARRAY_PUSH_FRONT ARRAY_CONCAT ARRAY_CAT ARRAY_UNION ARRAY_ZIP"
)
_REPEATS: Final = _and_lists("REPEAT ARRAY_REPEAT")
_FILLS: Final = _and_lists("LPAD RPAD ARRAY_RESIZE")
_LIST_REPLACES: Final = _and_lists("ARRAY_REPLACE ARRAY_REPLACE_N ARRAY_REPLACE_ALL")
_JOINS: Final = _and_lists("ARRAY_TO_STRING ARRAY_JOIN")
_SPLITS: Final = _words("STRING_TO_ARRAY STRING_TO_LIST")
_SERIES: Final = _words("RANGE GENERATE_SERIES")
_COLLECTS: Final = _words("ARRAY_AGG STRING_AGG")
_CASTS: Final = _words("ARROW_CAST ARROW_TRY_CAST")
_GROWING: Final = (
    _SUMS | _REPEATS | _FILLS | _LIST_REPLACES | _JOINS | _SPLITS | _SERIES | _COLLECTS | _CASTS
) | _words("CONCAT_WS OVERLAY REPLACE TRANSLATE REGEXP_REPLACE REGEXP_MATCH ENCODE TO_CHAR DATE_FORMAT")

_QUERY_WORDS: Final = _words("SELECT WITH VALUES FROM")
_ITEM_WORDS: Final = _words("SELECT VALUES")
_OTHER_CLAUSES: Final = _words(
    "FROM WHERE GROUP HAVING QUALIFY WINDOW ORDER LIMIT OFFSET UNION INTERSECT EXCEPT JOIN ON USING"
)
_CLAUSES: Final = _ITEM_WORDS | _OTHER_CLAUSES
_NO_VALUES: Final = _words(
    """ALL AND ANY ARRAY AS ASC BETWEEN BY CASE CAST CROSS DESC DISTINCT ELSE END ESCAPE EXISTS EXPLAIN FALSE FILTER
    FULL ILIKE IN INNER INTERVAL IS LATERAL LEFT LIKE NOT NULL NULLS OR OUTER OVER PARTITION RECURSIVE RIGHT SIMILAR
    THEN TO TRUE WHEN WITHIN"""
) | (_QUERY_WORDS | _OTHER_CLAUSES)
_NO_CALLS: Final = _NO_VALUES - {"LEFT", "RIGHT"}
_FIXED_SIZE: Final = re.compile(r"FixedSize(?:List|Binary)\D*(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Bound:
    factor: int = 0
    fixed: int = 0

    def __add__(self, other: _Bound) -> _Bound:
        return _Bound(self.factor + other.factor, self.fixed + other.fixed)

    def times(self, count: int) -> _Bound:
        return _Bound(self.factor * count, self.fixed * count)

    @property
    def size(self) -> int:
        return self.factor * _COLUMN_BYTES + self.fixed


_COLUMN: Final = _Bound(1)
_COLLECTED: Final = _Bound(16)


def _largest(bounds: Iterable[_Bound]) -> _Bound:
    factor = fixed = 0
    for bound in bounds:
        factor, fixed = max(factor, bound.factor), max(fixed, bound.fixed)
    return _Bound(factor, fixed)


def _sum(bounds: Iterable[_Bound]) -> _Bound:
    return sum(bounds, _Bound())


def batch_rows(tokens: Sequence[Token]) -> int:
    """How many rows a batch may have while the statement is computed.

    Raises StatementRefused if one of its values could become too large, StatementTooLarge if its brackets are
    nested too deeply to tell.
    """
    if not any(token.text in ("||", "[", "{") or _name(token) in _GROWING for token in tokens):
        return BATCH_ROWS
    _check_windows(tokens)
    reading = _Reading(tokens)
    reading.query(0)
    selects = math.prod(select.factor for select in reading.selects)
    fixed = sum(select.fixed for select in reading.selects)
    largest = selects * (reading.elsewhere.factor or 1) * (_COLUMN_BYTES + fixed) + reading.elsewhere.fixed
    row = reading.elsewhere.fixed
    if reading.elsewhere.factor > 1:
        row += reading.elsewhere.factor * selects * _USUAL_BYTES
    row += sum(select.row * (selects // select.factor) for select in reading.selects)
    if largest > _MAX_VALUE_BYTES or row > _MAX_ROW_BYTES:
        raise _too_large(reading.names)
    rows = _BATCH_BYTES // max(1, row)
    if reading.collects_below:
        rows = min(rows, _COLLECTED_ROWS)
    if rows >= BATCH_ROWS // 4:
        return BATCH_ROWS  # a session of its own and smaller batches cost more than the memory is worth
    return max(1, rows)


def _too_large(names: Iterable[str]) -> StatementRefused:
    return StatementRefused(
        f"a value of {', '.join(f'{name.lower()}()' if name != '||' else name for name in names)} could become larger "
        f"than {_MAX_VALUE_BYTES >> 20} MiB, if a column's values have {_COLUMN_BYTES >> 10} KiB: use fewer of these "
        "inside one another, and write what they repeat or put in as a short text in the statement"
    )


def _name(token: Token) -> str:
    if token.kind is TokenKind.QUOTED_NAME:
        return token.text.strip('"`').upper()
    return token.word


def _check_windows(tokens: Sequence[Token]) -> None:
    """A list of all rows for each row is made at once."""
    for at, token in enumerate(tokens[:-1]):
        if _name(token) not in _COLLECTS or tokens[at + 1].text != "(":
            continue
        after = _after_brackets(tokens, at + 1)
        if _word_at(tokens, after) in ("IGNORE", "RESPECT"):
            after += 2
        if _word_at(tokens, after) == "FILTER":
            after = _after_brackets(tokens, after + 1)
        if _word_at(tokens, after) in ("IGNORE", "RESPECT"):
            after += 2
        if _word_at(tokens, after) == "OVER":
            raise StatementRefused(
                f"{_name(token).lower()}() OVER (…) is not supported, because it makes a list of many rows for each "
                "row: use it with GROUP BY"
            )


def _word_at(tokens: Sequence[Token], at: int) -> str:
    return tokens[at].word if at < len(tokens) else ""


def _after_brackets(tokens: Sequence[Token], at: int) -> int:
    depth = 0
    for place in range(at, len(tokens)):
        depth += (tokens[place].text == "(") - (tokens[place].text == ")")
        if depth <= 0:
            return place + 1
    return len(tokens)


@dataclass(slots=True)
class _Select:
    """A query in one pair of brackets: the largest factor, fixed size and row of its SELECTs."""

    factor: int = 1
    fixed: int = 0
    row: int = 0


class _Reading:
    """Reads a statement once, from bracket to bracket."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.selects: list[_Select] = []
        self.elsewhere = _Bound()
        """The largest value in other clauses than SELECT: it is computed, and nobody's column."""
        self.names: dict[str, None] = {}
        """The growing functions that occur, in their order."""
        self.collects_below = False
        """Whether a subquery makes lists of rows."""
        self._tokens = tokens
        self._at = 0
        self._queries = 0
        self._recursive = any(token.word == "RECURSIVE" for token in tokens)

    def query(self, depth: int) -> _Bound:
        """Read to the end of the brackets that hold a query. Returns the largest bound of other clauses."""
        self._check_depth(depth)
        select = _Select()
        self.selects.append(select)
        self._queries += 1
        others = _Bound()
        items, row = False, 0
        for ended, part in self._parts(depth):
            if not items:
                others = _largest((others, part))
            else:
                select.factor = max(select.factor, part.factor)
                select.fixed = max(select.fixed, part.fixed)
                row += part.factor * _USUAL_BYTES + part.fixed
                select.row = max(select.row, row)
            if ended != ",":
                items, row = ended in _ITEM_WORDS, 0
        self._queries -= 1
        self.elsewhere = _largest((self.elsewhere, others))
        return others

    def _parts(self, depth: int) -> Iterator[tuple[str, _Bound]]:
        """What stands between commas and the words that begin clauses, and what each of them ends with."""
        bounds: list[_Bound] = []
        joined = False
        while True:
            token = self._tokens[self._at] if self._at < len(self._tokens) else None
            ends = token is None or token.text in (")", "]", "}", ",")
            if ends or (token is not None and token.word in _CLAUSES):
                part = _sum(bounds) if joined else _largest(bounds)
                self._refuse_growth_in_recursion(part)
                yield ("" if token is None else token.word or token.text), part
                self._at += 1
                if token is None or token.text in (")", "]", "}"):
                    return
                bounds, joined = [], False
                continue
            assert token is not None
            if token.text == "||":
                joined = True
                self.names["||"] = None
            bounds.append(self._value(token, depth))

    def _refuse_growth_in_recursion(self, part: _Bound) -> None:
        if self._recursive and part.factor > 1 and self.names:
            names = ", ".join(name.lower() for name in self.names)
            raise StatementRefused(
                f"{names} in a statement WITH RECURSIVE could double a value in each round: use it outside of such "
                "statements"
            )

    def _value(self, token: Token, depth: int) -> _Bound:
        before = self._tokens[self._at - 1] if self._at else None
        following = self._tokens[self._at + 1].text if self._at + 1 < len(self._tokens) else ""
        self._at += 1
        if token.text in ("(", "[", "{"):
            return self._brackets(token, before, depth + 1)
        if token.kind in (TokenKind.STRING, TokenKind.OTHER_STRING):
            return _Bound(0, len(token.text.encode()) - 2)
        if token.kind in (TokenKind.WORD, TokenKind.QUOTED_NAME):
            if following == "(" and token.word not in _NO_CALLS:
                self._at += 1
                return self._call(_name(token), before, depth + 1)
            if token.word in _NO_VALUES or (before is not None and (before.text == "." or before.word == "AS")):
                return _Bound()
            return _COLUMN
        return _COLUMN if token.kind is TokenKind.PLACEHOLDER else _Bound(0, 8 * (token.kind is TokenKind.NUMBER))

    def _brackets(self, token: Token, before: Token | None, depth: int) -> _Bound:
        if token.text == "(" and self._holds_query():
            return _largest((_COLUMN, self.query(depth)))
        bounds = [bound for bound, _ in self._arguments(depth)]
        if token.text == "(":
            return _largest(bounds)
        subscript = before is not None and (
            before.text in (")", "]") or (before.kind is TokenKind.QUOTED_NAME) or before.word not in _NO_VALUES | {""}
        )
        if subscript:
            return _Bound()
        self.names["make_array"] = None
        return _sum(bounds)

    def _holds_query(self) -> bool:
        """Whether a bracket, or several ones, and then a query begin here."""
        at = self._at
        while at < len(self._tokens) and self._tokens[at].text == "(":
            at += 1
        return _word_at(self._tokens, at) in _QUERY_WORDS

    def _check_depth(self, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise StatementTooLarge(f"the statement's brackets are nested more than {_MAX_DEPTH} deep")

    def _arguments(self, depth: int) -> list[tuple[_Bound, Sequence[Token]]]:
        self._check_depth(depth)
        found = []
        start = self._at
        largest = _Bound()
        for ended, part in self._parts(depth):
            largest = _largest((largest, part))
            if ended in ("", ",", ")", "]", "}"):
                found.append((largest, self._tokens[start : self._at]))
                start, largest = self._at + 1, _Bound()
        return found

    def _call(self, name: str, before: Token | None, depth: int) -> _Bound:
        if self._holds_query():
            return _largest((_COLUMN, self.query(depth)))
        arguments = self._arguments(depth)
        bounds = [bound for bound, _ in arguments]
        texts = [tokens for _, tokens in arguments]
        if name not in _GROWING or (before is not None and before.text == "*"):  # SELECT * REPLACE (…)
            return _largest(bounds)
        if name in _SERIES and before is not None and before.word in ("FROM", "JOIN", "LATERAL"):
            return _Bound(0, 8)
        self.names[name] = None
        if name in _COLLECTS and self._queries > 1:
            self.collects_below = True
        if name in _CASTS:
            _check_type(texts)
        bound = _grown(name, bounds, texts)
        if bound.size > _MAX_VALUE_BYTES:
            raise _too_large([name])
        return bound


def _check_type(arguments: Sequence[Sequence[Token]]) -> None:
    """A null of a type of a fixed size takes that size."""
    kind = arguments[1] if len(arguments) > 1 else ()
    sizes = [int(size[:20]) for token in kind for size in _FIXED_SIZE.findall(token.text)]
    if len(kind) != 1 or kind[0].kind is not TokenKind.STRING or math.prod(sizes) > _MAX_FIXED_SIZE:
        raise StatementRefused(
            f"the type in arrow_cast() must be a text in the statement, of a fixed size of at most {_MAX_FIXED_SIZE}"
        )


def _grown(name: str, bounds: Sequence[_Bound], texts: Sequence[Sequence[Token]]) -> _Bound:
    """The bound of a growing function's result."""
    first = bounds[0]
    second = bounds[1] if len(bounds) > 1 else _Bound()
    third = bounds[2] if len(bounds) > 2 else _Bound(0, 8)
    if name in _SUMS:
        return _sum(bounds) + _Bound(0, 8 * len(bounds))
    if name in _COLLECTS:
        return _COLLECTED + second
    if name in _REPEATS:
        return (first if name == "REPEAT" else first + _Bound(0, 8)).times(_number(texts[1:2]))
    if name in _FILLS:
        return first + (third + _Bound(0, 4)).times(_number(texts[1:2]))
    if name in _LIST_REPLACES:
        return first.times(1 + third.size) + third
    if name in _JOINS:
        return first.times(8 + second.size + (third.size if len(bounds) > 2 else 0))
    if name in _SPLITS:
        return first.times(16)
    if name in _SERIES:
        return _Bound(0, _series_bytes(texts))
    return _grown_text(name, bounds, texts, first, second, third)


def _grown_text(
    name: str,
    bounds: Sequence[_Bound],
    texts: Sequence[Sequence[Token]],
    first: _Bound,
    second: _Bound,
    third: _Bound,
) -> _Bound:
    if name == "CONCAT_WS":
        return _sum(bounds[1:]) + first.times(len(bounds))
    if name == "OVERLAY":
        return _sum(bounds).times(2)  # OVERLAY(a PLACING b FROM 3) is one argument here
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
        return second.times(24) + _Bound(0, 64)
    return _largest(bounds)


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
