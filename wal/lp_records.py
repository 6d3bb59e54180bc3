"""What a good line leaves behind: settled columns, paths for others to follow, and its row's record."""

from __future__ import annotations

from typing import Final

from headrace.wal.lp_kinds import FLOAT, STRING, TAG
from headrace.wal.lp_layout import (
    CELL_COUNT,
    CELLS,
    COLUMN_BYTES,
    COLUMN_KIND,
    COLUMN_USED,
    FIELD_COLUMN,
    FIELD_FIRST,
    FIELD_KEY,
    FIELD_KEY_END,
    FIELD_KIND,
    FIELD_NODE,
    FIELD_SECOND,
    LAST_SERIES,
    LONG_CELL,
    LONG_END,
    LONG_FLOAT_COUNT,
    LONG_TEXT,
    NODE_COLUMN,
    NODE_KIND,
    NODE_NEXT,
    NODE_ROWS,
    NODES,
    PAIR_COLUMN,
    RECORD_HEADER,
    RECORD_NODE,
    RECORD_SERIES,
    RECORD_TIME,
    ROW_COUNT,
    SERIES_GOOD,
    SERIES_KEY,
    SERIES_LENGTH,
    SERIES_NEXT,
    SERIES_ROWS,
    SERIES_TAG_COUNT,
    SERIES_TAGS,
    TABLE_ROOT,
    TABLE_ROWS,
    TABLE_TAG_ROOT,
    TABLE_WIDTH,
    USED,
    USED_COUNT,
    column_at,
    field_at,
    long_float_at,
    node_at,
    pair_at,
    series_at,
    table_at,
)
from headrace.wal.lp_names import child_for
from headrace.wal.lp_paths import alternative, has_key
from headrace.wal.lp_tokens import KEY, MEASUREMENT, TAG_VALUE, token
from headrace.wal.lp_words import add, compiled, get, put

_LENGTH: Final = (1 << 32) - 1  # of a string, in the second of its two words; its escapes are above


@compiled
def use(state: int, table: int, column: int, kind: int) -> None:
    """A good line has the column: settle its kind and, the first time, give it its place among the columns."""
    put(column_at(state, column), COLUMN_KIND, kind)
    if get(column_at(state, column), COLUMN_USED) == 0:
        put(column_at(state, column), COLUMN_USED, 1)
        put(get(state, USED), get(state, USED_COUNT), column)
        add(state, USED_COUNT, 1)
        add(table_at(state, table), TABLE_WIDTH, 1)


@compiled
def settle_series(state: int, table: int, series: int) -> None:
    """A good line has the series: its tags are tags, and others may follow the path of their keys."""
    of_series = series_at(state, series)
    key, first = get(of_series, SERIES_KEY), get(of_series, SERIES_TAGS)
    end = key + get(of_series, SERIES_LENGTH)
    node = get(table_at(state, table), TABLE_TAG_ROOT)
    at, _ = token(key, end, MEASUREMENT)
    for pair in range(first, first + get(of_series, SERIES_TAG_COUNT)):
        column = get(pair_at(state, pair), PAIR_COLUMN)
        use(state, table, column, TAG)
        start = at + 1
        at, _ = token(start, end, KEY)
        node = child_for(state, node, column, TAG, start, at + 1 - start)
        at, _ = token(at + 1, end, TAG_VALUE)
    put(of_series, SERIES_GOOD, 1)


@compiled
def settle_fields(state: int, table: int, fields: int) -> None:
    """A good line has the fields: their columns have their kinds, and others may follow the path of their keys."""
    node = get(table_at(state, table), TABLE_ROOT)
    for i in range(fields):
        field = field_at(state, i)
        column, kind, key = get(field, FIELD_COLUMN), get(field, FIELD_KIND), get(field, FIELD_KEY)
        use(state, table, column, kind)
        child = child_for(state, node, column, kind, key, get(field, FIELD_KEY_END) + 1 - key)
        put(node_at(state, node), NODE_NEXT, child)
        put(field, FIELD_NODE, child)
        node = child


@compiled
def follow(state: int, root: int, fields: int) -> bool:
    """Whether earlier lines had the same fields with the same kinds in the same order: nothing is left to check."""
    nodes = get(state, NODES)
    node = root
    for i in range(fields):
        field = field_at(state, i)
        child = get(node_at(state, node), NODE_NEXT)
        if not has_key(node_at(state, child), get(field, FIELD_KEY)):
            child = alternative(nodes, node, get(field, FIELD_KEY))
            if child == 0:
                return False
            put(node_at(state, node), NODE_NEXT, child)
        if get(node_at(state, child), NODE_KIND) != get(field, FIELD_KIND):
            return False
        put(field, FIELD_NODE, child)
        node = child
    return True


@compiled
def write_record(state: int, table: int, series: int, fields: int, time: int) -> None:
    """Enter the row of a good line, whose fields know their nodes."""
    start = get(state, CELL_COUNT)
    record = get(state, CELLS) + 8 * start
    at = RECORD_HEADER
    for i in range(fields):
        field = field_at(state, i)
        kind = get(field, FIELD_KIND)
        put(record, at, get(field, FIELD_FIRST))
        if kind == STRING:
            second = get(field, FIELD_SECOND)
            at += 1
            put(record, at, second)
            column = column_at(state, get(node_at(state, get(field, FIELD_NODE)), NODE_COLUMN))
            add(column, COLUMN_BYTES, (second & _LENGTH) - (second >> 32))
        elif kind == FLOAT and get(field, FIELD_SECOND) != 0:
            long_float = long_float_at(state, get(state, LONG_FLOAT_COUNT))
            put(long_float, LONG_CELL, start + at)
            put(long_float, LONG_TEXT, get(field, FIELD_FIRST))
            put(long_float, LONG_END, get(field, FIELD_SECOND))
            add(state, LONG_FLOAT_COUNT, 1)
        at += 1
    node = get(field_at(state, fields - 1), FIELD_NODE)
    put(record, RECORD_SERIES, series)
    put(record, RECORD_NODE, node)
    put(record, RECORD_TIME, time)
    add(node_at(state, node), NODE_ROWS, 1)
    add(series_at(state, series), SERIES_ROWS, 1)
    add(table_at(state, table), TABLE_ROWS, 1)
    add(state, CELL_COUNT, at)
    add(state, ROW_COUNT, 1)
    put(series_at(state, get(state, LAST_SERIES)), SERIES_NEXT, series)
    put(state, LAST_SERIES, series)
