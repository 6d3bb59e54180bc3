"""The grammar of a line, in full: what is in it, and what is wrong with it.

The first thing that is wrong, in the order of the text, is the error that is reported.

Nothing is looked up here; a malformed line leaves no trace but its error.
"""

from __future__ import annotations

from typing import Final

from headrace.wal.lp_kinds import (
    BACKSLASH_AT_END,
    BAD_INTEGER,
    BAD_TIMESTAMP,
    BAD_UINTEGER,
    BOOLEAN,
    FLOAT,
    INVALID_MEASUREMENT,
    NO_EQUALS_SIGN,
    NO_FIELDS,
    NO_SPACE,
    NO_TAG_KEY,
    NO_TAG_VALUE,
    STRING,
    STRING_TOO_LONG,
    TOO_MANY_FIELDS,
    TOO_MANY_TAGS,
    TRAILING_CONTENT,
)
from headrace.wal.lp_layout import (
    ERROR_AT,
    ERROR_AT_END,
    ERROR_CODE,
    ERROR_COLUMN,
    ERROR_COUNT,
    ERROR_EXPECTED,
    ERROR_GOT,
    ERROR_LINE,
    ERROR_LINE_END,
    FIELD_ESCAPED,
    FIELD_FIRST,
    FIELD_KEY,
    FIELD_KEY_END,
    FIELD_KIND,
    FIELD_SECOND,
    MAX_ERRORS,
    MAX_LINE_COLUMNS,
    error_at,
    field_at,
)
from headrace.wal.lp_numbers import (
    INTEGER_OVERFLOW,
    LONG_FLOAT,
    NOT_A_NUMBER,
    UINTEGER_OVERFLOW,
    digits,
    in_range,
    number,
)
from headrace.wal.lp_tokens import (
    EMPTY,
    ENDS_WITH_BACKSLASH,
    ESCAPED,
    KEY,
    MEASUREMENT,
    STRING_LIMIT,
    TAG_VALUE,
    TOO_LONG,
    string_end,
    token,
)
from headrace.wal.lp_words import add, compiled, get, load8, load64, put

_COMMA, _EQUALS, _SPACE, _QUOTE, _MINUS, _ZERO, _NINE = b',= "-09'
_TRUE, _TRUE_CAPITAL, _FALSE, _FALSE_CAPITAL = b"tTfF"
_FOUR: Final = (1 << 32) - 1  # masks of the first bytes of a word
_FIVE: Final = (1 << 40) - 1
_TRUE_WORDS: Final = tuple(int.from_bytes(text, "little") for text in (b"true", b"True", b"TRUE"))
_FALSE_WORDS: Final = tuple(int.from_bytes(text, "little") for text in (b"false", b"False", b"FALSE"))


@compiled
def boolean(at: int) -> tuple[int, int]:
    """The truth value at ``at``, and how many bytes it takes: none if there is none."""
    word = load64(at)
    if word & _FOUR in _TRUE_WORDS:
        return 1, 4
    if word & _FIVE in _FALSE_WORDS:
        return 0, 5
    char = word & 0xFF
    if char in (_TRUE, _TRUE_CAPITAL):
        return 1, 1
    if char in (_FALSE, _FALSE_CAPITAL):
        return 0, 1
    return 0, 0


@compiled
def refuse(state: int, code: int, line: int, end: int, at: int, at_end: int) -> None:
    """Count an error and keep it while there is room; the message is made later."""
    count = get(state, ERROR_COUNT)
    if count < MAX_ERRORS:
        error = error_at(state, count)
        put(error, ERROR_CODE, code)
        put(error, ERROR_LINE, line)
        put(error, ERROR_LINE_END, end)
        put(error, ERROR_AT, at)
        put(error, ERROR_AT_END, at_end)
    add(state, ERROR_COUNT, 1)


@compiled
def refuse_column(state: int, code: int, line: int, end: int, column: int, got: int, expected: int) -> None:
    count = get(state, ERROR_COUNT)
    if count < MAX_ERRORS:
        put(error_at(state, count), ERROR_COLUMN, column)
        put(error_at(state, count), ERROR_GOT, got)
        put(error_at(state, count), ERROR_EXPECTED, expected)
    refuse(state, code, line, end, line, line)


@compiled
def token_error(state: int, found: int, line: int, end: int, at: int, when_empty: int) -> bool:
    """Refuse the line if a token is not what it has to be."""
    if found == EMPTY:
        refuse(state, when_empty, line, end, at, end)
    elif found == ENDS_WITH_BACKSLASH:
        refuse(state, BACKSLASH_AT_END, line, end, at, end)
    elif found == TOO_LONG:
        refuse(state, STRING_TOO_LONG, line, end, at, end)
    else:
        return False
    return True


@compiled
def skip_spaces(at: int, end: int) -> int:
    while at < end and load8(at) == _SPACE:
        at += 1
    return at


@compiled
def read_series(state: int, line: int, end: int) -> tuple[int, int]:
    """Where measurement and tags end, and how many tags there are; (0, 0) if the line was refused."""
    at, found = token(line, end, MEASUREMENT)
    if token_error(state, found, line, end, at, INVALID_MEASUREMENT):
        return 0, 0
    tags = 0
    first = at + 1
    while at < end and load8(at) == _COMMA:
        start = at + 1
        at, found = token(start, end, KEY)
        if token_error(state, found, line, end, start, NO_TAG_KEY):
            return 0, 0
        if at >= end or load8(at) != _EQUALS:
            refuse(state, NO_EQUALS_SIGN, line, end, first, end)
            return 0, 0
        start = at + 1
        at, found = token(start, end, TAG_VALUE)
        if token_error(state, found, line, end, start, NO_TAG_VALUE):
            return 0, 0
        tags += 1
    if tags > MAX_LINE_COLUMNS:
        refuse(state, TOO_MANY_TAGS, line, end, line, end)
        return 0, 0
    if at >= end or load8(at) != _SPACE:
        refuse(state, NO_SPACE, line, end, at, end)
        return 0, 0
    return at, tags


@compiled
def read_value(state: int, line: int, end: int, at: int, row: int) -> tuple[int, int]:
    """The field's kind and where its value ends; NOT_A_NUMBER if there is no value, -1 if the line was refused."""
    if at >= end:
        return NOT_A_NUMBER, at
    field = field_at(state, row)
    char = load8(at)
    if char == _QUOTE:
        closing, escapes = string_end(at + 1, end)
        if closing == 0:
            return NOT_A_NUMBER, at
        if closing - at - 1 - escapes > STRING_LIMIT:
            refuse(state, STRING_TOO_LONG, line, end, at, end)
            return -1, at
        put(field, FIELD_FIRST, at + 1)
        put(field, FIELD_SECOND, (closing - at - 1) | (escapes << 32))
        return STRING, closing + 1
    if char == _MINUS or _ZERO <= char <= _NINE:
        kind, bits, after = number(at)
        if kind == INTEGER_OVERFLOW:
            refuse(state, BAD_INTEGER, line, end, at, after)
            return -1, at
        if kind == UINTEGER_OVERFLOW:
            refuse(state, BAD_UINTEGER, line, end, at, after)
            return -1, at
        put(field, FIELD_FIRST, bits)
        put(field, FIELD_SECOND, 0)
        if kind == LONG_FLOAT:
            put(field, FIELD_FIRST, at)
            put(field, FIELD_SECOND, after)
            kind = FLOAT
        return kind, after
    truth, length = boolean(at)
    if length == 0 or at + length > end:
        return NOT_A_NUMBER, at
    put(field, FIELD_FIRST, truth)
    return BOOLEAN, at + length


@compiled
def read_fields(state: int, line: int, end: int, at: int) -> tuple[int, int]:
    """How many fields there are, each described in ``state.fields``, and where they end; 0 if the line was refused."""
    count = 0
    comma = at
    while True:
        row = min(count, MAX_LINE_COLUMNS - 1)
        after_key, found = token(at, end, KEY)
        if found >= ENDS_WITH_BACKSLASH:
            token_error(state, found, line, end, at, NO_FIELDS)
            return 0, at
        kind = NOT_A_NUMBER
        after = at
        if found != EMPTY and after_key < end and load8(after_key) == _EQUALS:
            kind, after = read_value(state, line, end, after_key + 1, row)
            if kind == -1:
                return 0, at
        if kind == NOT_A_NUMBER:
            if count == 0:
                refuse(state, NO_FIELDS, line, end, at, end)
                return 0, at
            # The peer forgives a comma after the only field: what follows may be a timestamp.
            at = at if count == 1 else comma
            break
        field = field_at(state, row)
        put(field, FIELD_KEY, at)
        put(field, FIELD_KEY_END, after_key)
        put(field, FIELD_ESCAPED, found == ESCAPED)
        put(field, FIELD_KIND, kind)
        count += 1
        at = after
        if at >= end or load8(at) != _COMMA:
            break
        comma = at
        at += 1
    if count > MAX_LINE_COLUMNS:
        refuse(state, TOO_MANY_FIELDS, line, end, line, end)
        return 0, at
    return count, at


@compiled
def read_time(state: int, line: int, end: int, at: int) -> tuple[bool, bool, int, int, int]:
    """Whether the rest of the line is good, whether it is a timestamp, its value and its text."""
    start = skip_spaces(at, end)
    given = False
    value = 0
    after = start
    if start > at and start < end:
        negative = load8(start) == _MINUS
        first = start + 1 if negative else start
        count, value = digits(first)
        if count > 0:
            given = True
            after = first + count
            if not in_range(negative, count, value, first):
                refuse(state, BAD_TIMESTAMP, line, end, start, after)
                return False, False, 0, start, after
            if negative:
                value = -value
            at = skip_spaces(after, end)
    if skip_spaces(at, end) < end:
        refuse(state, TRAILING_CONTENT, line, end, at, end)
        return False, False, 0, start, after
    return True, given, value, start, after
