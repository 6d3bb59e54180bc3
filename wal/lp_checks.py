"""Whether a well-formed line fits what the catalog and the good lines before it have settled."""

from __future__ import annotations

from typing import Final

from headrace.wal.lp_grammar import refuse_column
from headrace.wal.lp_kinds import DUPLICATE_FIELD, DUPLICATE_TAG, RESERVED_COLUMN, TAG, TYPE_CONFLICT, UNSETTLED
from headrace.wal.lp_layout import (
    COLUMN_KIND,
    COLUMN_LENGTH,
    COLUMN_MARK,
    COLUMN_NAME,
    COLUMN_USED,
    FIELD_COLUMN,
    FIELD_KIND,
    LINE_SERIAL,
    PAIR_COLUMN,
    SERIES_TAG_COUNT,
    SERIES_TAGS,
    column_at,
    field_at,
    pair_at,
    series_at,
)
from headrace.wal.lp_words import add, compiled, first_bytes, get, load64, put, signed

_TIME_NAME: Final = signed(int.from_bytes(b"time", "little"))


@compiled
def is_reserved(state: int, column: int) -> bool:
    return (
        get(column_at(state, column), COLUMN_LENGTH) == 4
        and load64(get(column_at(state, column), COLUMN_NAME)) & first_bytes(4) == _TIME_NAME
    )


@compiled
def kind_in_line(state: int, column: int, fields: int) -> int:
    """The kind an unsettled column has by what the line said about it before its field number ``fields``."""
    for i in range(fields):
        if get(field_at(state, i), FIELD_COLUMN) == column:
            return get(field_at(state, i), FIELD_KIND)
    return TAG


@compiled
def check(state: int, line: int, end: int, series: int, fields: int) -> int:
    """How many columns the line would be the first good one to use; -1 if it was refused."""
    add(state, LINE_SERIAL, 1)
    serial = get(state, LINE_SERIAL)
    unused = 0
    first = get(series_at(state, series), SERIES_TAGS)
    for i in range(get(series_at(state, series), SERIES_TAG_COUNT)):
        column = get(pair_at(state, first + i), PAIR_COLUMN)
        kind = get(column_at(state, column), COLUMN_KIND)
        if is_reserved(state, column):
            refuse_column(state, RESERVED_COLUMN, line, end, column, TAG, kind)
            return -1
        if get(column_at(state, column), COLUMN_MARK) == serial:
            refuse_column(state, DUPLICATE_TAG, line, end, column, TAG, kind)
            return -1
        if kind != UNSETTLED and kind != TAG:
            refuse_column(state, TYPE_CONFLICT, line, end, column, TAG, kind)
            return -1
        put(column_at(state, column), COLUMN_MARK, serial)
        unused += 1 - get(column_at(state, column), COLUMN_USED)
    for i in range(fields):
        column = get(field_at(state, i), FIELD_COLUMN)
        got = get(field_at(state, i), FIELD_KIND)
        if is_reserved(state, column):
            refuse_column(state, RESERVED_COLUMN, line, end, column, got, got)
            return -1
        expected = get(column_at(state, column), COLUMN_KIND)
        again = get(column_at(state, column), COLUMN_MARK) == serial
        if expected == UNSETTLED:
            expected = kind_in_line(state, column, i) if again else got
        if expected != got:
            refuse_column(state, TYPE_CONFLICT, line, end, column, got, expected)
            return -1
        if again:
            refuse_column(state, DUPLICATE_FIELD, line, end, column, got, expected)
            return -1
        put(column_at(state, column), COLUMN_MARK, serial)
        unused += 1 - get(column_at(state, column), COLUMN_USED)
    return unused
