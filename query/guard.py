"""Only one statement at a time, which only reads, and is small enough to plan.

The engine's own checks (no DDL, no DML, no other statements, no tables from URLs, see
:mod:`headrace.query.session`) keep the promise; this one names what is refused before anything is planned.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from headrace.query.errors import InvalidQuery, StatementRefused, StatementTooLarge
from headrace.query.tokens import Token, TokenKind

_MAX_OPERATORS: Final = 1_000
"""Planning recurses once per operator of a chain and overflows the thread's stack at some 8,000."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WRITES: Final = _words(
    """ALTER ANALYZE ATTACH BEGIN CALL CLOSE COMMENT COMMIT COPY CREATE DEALLOCATE DECLARE DELETE DETACH DISCARD DO DROP
    EXECUTE FETCH FLUSH GRANT IMPORT INSERT INSTALL KILL LISTEN LOAD LOCK MERGE MSCK NOTIFY OPTIMIZE PRAGMA PREPARE
    REFRESH REINDEX RELEASE RENAME REPLACE RESET REVOKE ROLLBACK SAVEPOINT SET START TRUNCATE UNCACHE UNLISTEN UNLOAD
    UNLOCK UPDATE UPSERT USE VACUUM"""
)
_EXPLAIN_WORDS: Final = _words("EXPLAIN ANALYZE VERBOSE FORMAT TREE INDENT PGJSON GRAPHVIZ")
_FILE_FUNCTIONS: Final = _words(
    """ARROW_SCAN CSV_SCAN DELTA_SCAN FILE_ROW_INDEX GLOB ICEBERG_SCAN INPUT_FILE_NAME JSON_SCAN LIST_FILES_CACHE
    METADATA_CACHE PARQUET_METADATA PARQUET_SCAN PARQUET_SCHEMA READ_ARROW READ_AVRO READ_BLOB READ_CSV READ_CSV_AUTO
    READ_IPC READ_JSON READ_JSON_AUTO READ_NDJSON READ_PARQUET READ_TEXT STATISTICS_CACHE"""
)
_REPEATING_FUNCTIONS: Final = _words("REPEAT LPAD RPAD ARRAY_REPEAT LIST_REPEAT ARRAY_RESIZE LIST_RESIZE")
_MAX_REPEAT: Final = 10_000
"""These functions make a value of any size at once, outside of the memory pool; the process would die of it."""
_SERIES_FUNCTIONS: Final = _words("RANGE GENERATE_SERIES")
_MAX_SERIES: Final = 1_000_000
"""In a FROM clause they come row by row; elsewhere as one list, outside of the memory pool as well."""
_TABLE_WORDS: Final = _words("FROM JOIN LATERAL")
_COARSE_UNITS: Final = ("minute", "hour", "day", "week", "month", "year")
_OPERATOR_WORDS: Final = _words("AND OR NOT IS LIKE ILIKE AT UNION INTERSECT EXCEPT JOIN")
_FROM_ENDS: Final = _words("WHERE GROUP HAVING ORDER LIMIT UNION INTERSECT EXCEPT SELECT")
_PLAIN_SYMBOLS: Final = frozenset("(),.;[]{}")


def check(tokens: Sequence[Token]) -> None:
    """Refuse a statement that is empty, several, not reading, or too complex.

    Raises StatementRefused, StatementTooLarge, InvalidQuery.
    """
    while tokens and tokens[-1].text == ";":
        tokens = tokens[:-1]
    if not tokens:
        raise InvalidQuery("the query is empty: send one SQL statement, such as SELECT 1")
    first = tokens[0]
    if first.word == "EXPLAIN":
        first = next((token for token in tokens if token.word not in _EXPLAIN_WORDS), first)
    if first.word in _WRITES:
        raise StatementRefused(
            f"{_named(tokens, first)} is not supported: queries only read. Send one SELECT, SHOW, DESCRIBE or EXPLAIN; "
            "write data through the write endpoints, change databases and tables through the configure endpoints"
        )
    if any(token.text == ";" for token in tokens):
        raise StatementRefused("only a single SQL statement is supported in a query, but more follow after ';'")
    for token, following in pairwise(tokens):
        if token.word in _FILE_FUNCTIONS and following.text == "(":
            raise StatementRefused(f"{token.text}() is not supported: queries read the database's tables, not files")
    _check_repeats(tokens)
    _check_series(tokens)
    operators = _operators(tokens)
    if operators > _MAX_OPERATORS:
        raise StatementTooLarge(
            f"the statement has {operators} operators and joins, more than {_MAX_OPERATORS}: "
            "use IN (…) lists in the place of long OR chains, or send several queries"
        )


def _named(tokens: Sequence[Token], first: Token) -> str:
    """``CREATE EXTERNAL TABLE``, ``COPY``: the words that name a statement."""
    at = tokens.index(first)
    if first.word not in ("CREATE", "DROP", "ALTER"):
        return first.word
    words = [first.word]
    for token in tokens[at + 1 : at + 5]:
        if token.word in ("OR", "REPLACE", "TEMPORARY", "TEMP", "MATERIALIZED", "EXTERNAL", "UNBOUNDED"):
            words.append(token.word)
        elif token.word in ("TABLE", "VIEW", "SCHEMA", "DATABASE", "FUNCTION", "INDEX", "CATALOG", "ROLE", "USER"):
            return " ".join((*words, token.word))
        else:
            break
    return " ".join(words)


def _check_repeats(tokens: Sequence[Token]) -> None:
    for at, token in enumerate(tokens[:-1]):
        name = token.text.strip('"`').upper()
        if name not in _REPEATING_FUNCTIONS or tokens[at + 1].text != "(":
            continue
        arguments = _arguments(tokens[at + 2 :])
        size = arguments[1] if len(arguments) > 1 else []
        if len(size) != 1 or not size[0].text.isdecimal() or int(size[0].text[:20]) > _MAX_REPEAT:
            raise StatementRefused(
                f"the second argument of {name.lower()}() must be a number of at most {_MAX_REPEAT}, "
                "written in the statement"
            )


def _check_series(tokens: Sequence[Token]) -> None:
    for at, token in enumerate(tokens[:-1]):
        name = token.text.strip('"`').upper()
        if name not in _SERIES_FUNCTIONS or tokens[at + 1].text != "(":
            continue
        if at and tokens[at - 1].word in _TABLE_WORDS:
            continue
        if not _is_short_series(_arguments(tokens[at + 2 :])):
            raise StatementRefused(
                f"{name.lower()}() makes a list of at most {_MAX_SERIES} values, between numbers written in the "
                f"statement or by an INTERVAL of minutes or more: for other series SELECT value FROM {name.lower()}(…)"
            )


def _is_short_series(arguments: Sequence[Sequence[Token]]) -> bool:
    if len(arguments) == 3 and arguments[2] and arguments[2][0].word == "INTERVAL":
        text = "".join(token.text for token in arguments[2]).lower()
        return any(unit in text for unit in _COARSE_UNITS)
    numbers = [number for argument in arguments if (number := _whole_number(argument)) is not None]
    if len(numbers) != len(arguments) or len(numbers) > 3:
        return False
    first, last = numbers[:2] if len(numbers) > 1 else (0, numbers[0])
    step = numbers[2] if len(numbers) == 3 else 1
    return abs(last - first) <= _MAX_SERIES * abs(step)


def _whole_number(argument: Sequence[Token]) -> int | None:
    text = "".join(token.text for token in argument)
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,19}", text) else None


def _arguments(tokens: Sequence[Token]) -> list[list[Token]]:
    """A function's arguments, whose tokens begin after the opening bracket."""
    arguments: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if depth < 0:
            break
        if depth == 0 and token.text == ",":
            arguments.append([])
        else:
            arguments[-1].append(token)
    return arguments


def _operators(tokens: Sequence[Token]) -> int:
    """Operators, set operations and joins; a comma between tables is a join."""
    count = 0
    from_depths: set[int] = set()
    depth = 0
    for token in tokens:
        if token.kind is TokenKind.SYMBOL:
            if token.text == "(":
                depth += 1
            elif token.text == ")":
                from_depths.discard(depth)
                depth -= 1
            count += token.text not in _PLAIN_SYMBOLS or (token.text == "," and depth in from_depths)
        elif word := token.word:
            count += word in _OPERATOR_WORDS
            if word == "FROM":
                from_depths.add(depth)
            elif word in _FROM_ENDS:
                from_depths.discard(depth)
    return count
