"""How large the values of a statement can become, told from its text.

The memory pool bounds sorting, grouping and joining. A function's result it does not see: the engine makes it
for a whole batch of rows at once, and nothing can stop it in between. So a statement whose functions multiply
the size of values too often is refused, and one that multiplies them often is computed in smaller batches.

A bound is ``factor × column + fixed``, in bytes. A function that puts texts or lists together adds its
arguments' bounds, one that replaces multiplies them, any other result is as large as its largest argument. What
one SELECT makes may be a column of another: the factors of all SELECTs are multiplied. Of values in tables
``COLUMN_BYTES`` are assumed. Not being a parser, this counts too much rather than too little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.query.errors import StatementRefused, StatementTooLarge
from headrace.query.function_bounds import (
    CASTS,
    COLLECTS,
    COLUMN,
    COLUMN_BYTES,
    GROWING,
    SERIES,
    Bound,
    check_type,
    grown,
    largest_of,
    sum_of,
    words,
)
from headrace.query.tokens import Token, TokenKind

_MAX_VALUE_BYTES: Final = 64 << 20
_MAX_ROW_BYTES: Final = 4 * _MAX_VALUE_BYTES
_USUAL_BYTES: Final = 256
"""What a value of a column takes when the size of a batch is chosen."""
_BATCH_BYTES: Final = 64 << 20
BATCH_ROWS: Final = 8_192
"""What the engine takes by itself."""
_COLLECTED_ROWS: Final = 128
"""A join may repeat a value that was collected in a subquery, of any size, for each row of a batch."""
_MAX_DEPTH: Final = 200
_QUERY_WORDS: Final = words("SELECT WITH VALUES FROM")
_ITEM_WORDS: Final = words("SELECT VALUES")
_OTHER_CLAUSES: Final = words(
    "FROM WHERE GROUP HAVING QUALIFY WINDOW ORDER LIMIT OFFSET UNION INTERSECT EXCEPT JOIN ON USING"
)
_CLAUSES: Final = _ITEM_WORDS | _OTHER_CLAUSES
_NO_VALUES: Final = words(
    """ALL AND ANY ARRAY AS ASC BETWEEN BY CASE CAST CROSS DESC DISTINCT ELSE END ESCAPE EXISTS EXPLAIN FALSE FILTER
    FULL ILIKE IN INNER INTERVAL IS LATERAL LEFT LIKE NOT NULL NULLS OR OUTER OVER PARTITION RECURSIVE RIGHT SIMILAR
    THEN TO TRUE WHEN WITHIN"""
) | (_QUERY_WORDS | _OTHER_CLAUSES)
_NO_CALLS: Final = _NO_VALUES - {"LEFT", "RIGHT"}


def batch_rows(tokens: Sequence[Token]) -> int:
    """How many rows a batch may have while the statement is computed.

    Raises StatementRefused if one of its values could become too large, StatementTooLarge if its brackets are
    nested too deeply to tell.
    """
    if not any(token.text in ("||", "[", "{") or _name(token) in GROWING for token in tokens):
        return BATCH_ROWS
    _check_windows(tokens)
    reading = _Reading(tokens)
    reading.query(0)
    selects = math.prod(select.factor for select in reading.selects)
    fixed = sum(select.fixed for select in reading.selects)
    largest = selects * (reading.elsewhere.factor or 1) * (COLUMN_BYTES + fixed) + reading.elsewhere.fixed
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
        f"than {_MAX_VALUE_BYTES >> 20} MiB, if a column's values have {COLUMN_BYTES >> 10} KiB: use fewer of these "
        "inside one another, and write what they repeat or put in as a short text in the statement"
    )


def _name(token: Token) -> str:
    if token.kind is TokenKind.QUOTED_NAME:
        return token.text.strip('"`').upper()
    return token.word


def _check_windows(tokens: Sequence[Token]) -> None:
    """A list of all rows for each row is made at once."""
    for at, token in enumerate(tokens[:-1]):
        if _name(token) not in COLLECTS or tokens[at + 1].text != "(":
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
        self.elsewhere = Bound()
        """The largest value in other clauses than SELECT: it is computed, and nobody's column."""
        self.names: dict[str, None] = {}
        """The growing functions that occur, in their order."""
        self.collects_below = False
        """Whether a subquery makes lists of rows."""
        self._tokens = tokens
        self._at = 0
        self._queries = 0
        self._recursive = any(token.word == "RECURSIVE" for token in tokens)

    def query(self, depth: int) -> Bound:
        """Read to the end of the brackets that hold a query. Returns the largest bound of other clauses."""
        self._check_depth(depth)
        select = _Select()
        self.selects.append(select)
        self._queries += 1
        others = Bound()
        items, row = False, 0
        for ended, part in self._parts(depth):
            if not items:
                others = largest_of((others, part))
            else:
                select.factor = max(select.factor, part.factor)
                select.fixed = max(select.fixed, part.fixed)
                row += part.factor * _USUAL_BYTES + part.fixed
                select.row = max(select.row, row)
            if ended != ",":
                items, row = ended in _ITEM_WORDS, 0
        self._queries -= 1
        self.elsewhere = largest_of((self.elsewhere, others))
        return others

    def _parts(self, depth: int) -> Iterator[tuple[str, Bound]]:
        """What stands between commas and the words that begin clauses, and what each of them ends with."""
        bounds: list[Bound] = []
        joined = False
        while True:
            token = self._tokens[self._at] if self._at < len(self._tokens) else None
            ends = token is None or token.text in (")", "]", "}", ",")
            if ends or (token is not None and token.word in _CLAUSES):
                part = sum_of(bounds) if joined else largest_of(bounds)
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

    def _refuse_growth_in_recursion(self, part: Bound) -> None:
        if self._recursive and part.factor > 1 and self.names:
            names = ", ".join(name.lower() for name in self.names)
            raise StatementRefused(
                f"{names} in a statement WITH RECURSIVE could double a value in each round: use it outside of such "
                "statements"
            )

    def _value(self, token: Token, depth: int) -> Bound:
        before = self._tokens[self._at - 1] if self._at else None
        following = self._tokens[self._at + 1].text if self._at + 1 < len(self._tokens) else ""
        self._at += 1
        if token.text in ("(", "[", "{"):
            return self._brackets(token, before, depth + 1)
        if token.kind in (TokenKind.STRING, TokenKind.OTHER_STRING):
            return Bound(0, len(token.text.encode()) - 2)
        if token.kind in (TokenKind.WORD, TokenKind.QUOTED_NAME):
            if following == "(" and token.word not in _NO_CALLS:
                self._at += 1
                return self._call(_name(token), before, depth + 1)
            if token.word in _NO_VALUES or (before is not None and (before.text == "." or before.word == "AS")):
                return Bound()
            return COLUMN
        return COLUMN if token.kind is TokenKind.PLACEHOLDER else Bound(0, 8 * (token.kind is TokenKind.NUMBER))

    def _brackets(self, token: Token, before: Token | None, depth: int) -> Bound:
        if token.text == "(" and self._holds_query():
            return largest_of((COLUMN, self.query(depth)))
        bounds = [bound for bound, _ in self._arguments(depth)]
        if token.text == "(":
            return largest_of(bounds)
        subscript = before is not None and (
            before.text in (")", "]") or (before.kind is TokenKind.QUOTED_NAME) or before.word not in _NO_VALUES | {""}
        )
        if subscript:
            return Bound()
        self.names["make_array"] = None
        return sum_of(bounds)

    def _holds_query(self) -> bool:
        """Whether a bracket, or several ones, and then a query begin here."""
        at = self._at
        while at < len(self._tokens) and self._tokens[at].text == "(":
            at += 1
        return _word_at(self._tokens, at) in _QUERY_WORDS

    def _check_depth(self, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise StatementTooLarge(f"the statement's brackets are nested more than {_MAX_DEPTH} deep")

    def _arguments(self, depth: int) -> list[tuple[Bound, Sequence[Token]]]:
        self._check_depth(depth)
        found = []
        start = self._at
        largest = Bound()
        for ended, part in self._parts(depth):
            largest = largest_of((largest, part))
            if ended in ("", ",", ")", "]", "}"):
                found.append((largest, self._tokens[start : self._at]))
                start, largest = self._at + 1, Bound()
        return found

    def _call(self, name: str, before: Token | None, depth: int) -> Bound:
        if self._holds_query():
            return largest_of((COLUMN, self.query(depth)))
        arguments = self._arguments(depth)
        bounds = [bound for bound, _ in arguments]
        texts = [tokens for _, tokens in arguments]
        if name not in GROWING or (before is not None and before.text == "*"):  # SELECT * REPLACE (…)
            return largest_of(bounds)
        if name in SERIES and before is not None and before.word in ("FROM", "JOIN", "LATERAL"):
            return Bound(0, 8)
        self.names[name] = None
        if name in COLLECTS and self._queries > 1:
            self.collects_below = True
        if name in CASTS:
            check_type(texts)
        bound = grown(name, bounds, texts)
        if bound.size > _MAX_VALUE_BYTES:
            raise _too_large([name])
        return bound
