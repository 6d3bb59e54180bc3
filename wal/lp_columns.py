"""From rows' records to Arrow columns: how large each column's buffers are, and what goes into them.

``lay_out`` counts, from how often each field path and each series occurred, which columns have a
value in every row, and gives every buffer its place in one block of memory a table. ``fill`` walks
the records once and writes the blocks. Buffers start at multiples of 64 bytes, as Arrow recommends.
"""

from __future__ import annotations

from typing import Final

from headrace.wal.lp_kinds import BOOLEAN, STRING, TAG
from headrace.wal.lp_layout import (
    CELL_COUNT,
    CELLS,
    COLUMN_BYTES,
    COLUMN_DATA,
    COLUMN_FILLED,
    COLUMN_KIND,
    COLUMN_OFFSETS,
    COLUMN_ROWS,
    COLUMN_SIZE,
    COLUMN_TABLE,
    COLUMN_TEXT,
    COLUMN_USED,
    COLUMN_VALID,
    COLUMN_VALUES,
    COLUMNS,
    NODE_COLUMN,
    NODE_COUNT,
    NODE_DEPTH,
    NODE_END,
    NODE_KIND,
    NODE_NEXT,
    NODE_PARENT,
    NODE_PATH,
    NODE_ROWS,
    NODE_SLOT,
    PAIR_CODE,
    PAIR_COLUMN,
    PAIR_SIZE,
    PAIRS,
    RECORD_NODE,
    RECORD_SERIES,
    RECORD_TIME,
    SERIES_COUNT,
    SERIES_ROWS,
    SERIES_TABLE,
    SERIES_TAG_COUNT,
    SERIES_TAGS,
    TABLE_BYTES,
    TABLE_COUNT,
    TABLE_NEXT_ROW,
    TABLE_ROWS,
    USED,
    USED_COUNT,
    VALUE_CODE,
    VALUE_COLUMN,
    VALUE_COUNT,
    VALUE_LENGTH,
    VALUE_TEXT,
    column_at,
    node_at,
    pair_at,
    series_at,
    table_at,
    value_at,
)
from headrace.wal.lp_tokens import resolve_string
from headrace.wal.lp_words import add, clear, compiled, copy, get, kernel, load8, put, store8, store32, store64
from numba import types

# A step of a field path: where the value is in the record, what it is, and which column gets it.
STEP_SLOT, STEP_KIND, STEP_COLUMN, STEP_SIZE = range(4)
NOTHING: Final = -1
_STEP: Final = 8 * STEP_SIZE
_PAIR: Final = 8 * PAIR_SIZE
_COLUMN: Final = 8 * COLUMN_SIZE
_LENGTH: Final = (1 << 32) - 1


@compiled
def aligned(size: int) -> int:
    return (size + 63) & ~63


@compiled
def bitmap(rows: int) -> int:
    return aligned((rows + 7) >> 3)


@compiled
def used_column(state: int, place: int) -> int:
    """The address of the column that good lines used as number ``place``."""
    return column_at(state, get(get(state, USED), place))


@compiled
def count_values(state: int) -> int:
    """Count each column's rows; gives the number of steps of all field paths, whose places it settles."""
    count = get(state, NODE_COUNT)
    for row in range(count):
        put(node_at(state, row), NODE_NEXT, 0)  # from here on: rows of the longer paths
    steps = 0
    # Children come after their parents.
    for row in range(count - 1, 0, -1):
        node = node_at(state, row)
        if get(node, NODE_DEPTH) > 0:
            if get(node, NODE_ROWS) > 0:
                put(node, NODE_PATH, steps)
                steps += get(node, NODE_DEPTH)
            passing = get(node, NODE_ROWS) + get(node, NODE_NEXT)
            add(node_at(state, get(node, NODE_PARENT)), NODE_NEXT, passing)
            add(column_at(state, get(node, NODE_COLUMN)), COLUMN_ROWS, passing)
    for row in range(1, get(state, SERIES_COUNT)):
        series = series_at(state, row)
        rows = get(series, SERIES_ROWS)
        if rows > 0:
            first = get(series, SERIES_TAGS)
            for pair in range(first, first + get(series, SERIES_TAG_COUNT)):
                add(column_at(state, get(pair_at(state, pair), PAIR_COLUMN)), COLUMN_ROWS, rows)
    return steps


@kernel(types.int64(types.int64))
def lay_out(state: int) -> int:
    """Place every buffer of every used column; gives the number of steps of all field paths."""
    steps = count_values(state)
    for row in range(get(state, TABLE_COUNT)):
        table = table_at(state, row)
        put(table, TABLE_BYTES, aligned(8 * get(table, TABLE_ROWS)))  # `time` comes first
    for place in range(get(state, USED_COUNT)):
        column = used_column(state, place)
        table = table_at(state, get(column, COLUMN_TABLE))
        rows = get(table, TABLE_ROWS)
        size = get(table, TABLE_BYTES)
        put(column, COLUMN_VALID, NOTHING)
        if get(column, COLUMN_ROWS) < rows:
            put(column, COLUMN_VALID, size)
            size += bitmap(rows)
        put(column, COLUMN_DATA, size)
        kind = get(column, COLUMN_KIND)
        if kind == TAG:
            size += aligned(4 * rows)
        elif kind == BOOLEAN:
            size += bitmap(rows)
        elif kind != STRING:
            size += aligned(8 * rows)
        if kind in (TAG, STRING):
            put(column, COLUMN_OFFSETS, size)
            size += aligned(4 * ((get(column, COLUMN_VALUES) if kind == TAG else rows) + 1))
            put(column, COLUMN_TEXT, size)
            size += aligned(get(column, COLUMN_BYTES))
        put(table, TABLE_BYTES, size)
    return steps


@compiled
def set_bit(bits: int, row: int) -> None:
    at = bits + (row >> 3)
    store8(at, load8(at) | (1 << (row & 7)))


@compiled
def list_paths(state: int, paths: int) -> None:
    """Write out the steps of every path that a row has."""
    for row in range(1, get(state, NODE_COUNT)):
        node = node_at(state, row)
        if get(node, NODE_ROWS) == 0:
            continue
        step = get(node, NODE_PATH) + get(node, NODE_DEPTH)
        while get(node, NODE_DEPTH) > 0:
            step -= 1
            put(paths + step * _STEP, STEP_SLOT, get(node, NODE_SLOT))
            put(paths + step * _STEP, STEP_KIND, get(node, NODE_KIND))
            put(paths + step * _STEP, STEP_COLUMN, get(node, NODE_COLUMN))
            node = node_at(state, get(node, NODE_PARENT))


@compiled
def place_buffers(state: int, bases: int) -> None:
    """Turn the places of buffers into addresses, and clear those that are not written in full."""
    for place in range(get(state, USED_COUNT)):
        column = used_column(state, place)
        rows = get(table_at(state, get(column, COLUMN_TABLE)), TABLE_ROWS)
        base = get(bases, get(column, COLUMN_TABLE))
        kind = get(column, COLUMN_KIND)
        add(column, COLUMN_DATA, base)
        add(column, COLUMN_OFFSETS, base)
        add(column, COLUMN_TEXT, base)
        if kind == BOOLEAN:
            clear(get(column, COLUMN_DATA), bitmap(rows))
        if kind == STRING:
            put(column, COLUMN_VALUES, 0)  # from here on: the length of the text
        if get(column, COLUMN_VALID) != NOTHING:
            add(column, COLUMN_VALID, base)
            clear(get(column, COLUMN_VALID), bitmap(rows))
            if kind == TAG:
                clear(get(column, COLUMN_DATA), 4 * rows)
            elif kind != BOOLEAN and kind != STRING:
                clear(get(column, COLUMN_DATA), 8 * rows)


@compiled
def write_dictionaries(state: int) -> None:
    for row in range(get(state, VALUE_COUNT)):
        value = value_at(state, row)
        column = column_at(state, get(value, VALUE_COLUMN))
        if get(column, COLUMN_USED) == 0 or get(column, COLUMN_KIND) != TAG:
            continue
        length = get(value, VALUE_LENGTH)
        filled = get(column, COLUMN_FILLED)
        store32(get(column, COLUMN_OFFSETS) + 4 * get(value, VALUE_CODE), filled)
        copy(get(column, COLUMN_TEXT) + filled, get(value, VALUE_TEXT), length)
        put(column, COLUMN_FILLED, filled + length)
    for place in range(get(state, USED_COUNT)):
        column = used_column(state, place)
        if get(column, COLUMN_KIND) == TAG:
            store32(get(column, COLUMN_OFFSETS) + 4 * get(column, COLUMN_VALUES), get(column, COLUMN_FILLED))


@compiled
def write_string(column: int, row: int, at: int, packed: int) -> None:
    """Append a string, and empty ones for the rows since the last that had one."""
    length = packed & _LENGTH
    offsets, position = get(column, COLUMN_OFFSETS), get(column, COLUMN_VALUES)
    for empty in range(get(column, COLUMN_FILLED), row + 1):
        store32(offsets + 4 * empty, position)
    target = get(column, COLUMN_TEXT) + position
    if packed >> 32 == 0:
        copy(target, at, length)
    else:
        length = resolve_string(at, at + length, target)
    put(column, COLUMN_VALUES, position + length)
    put(column, COLUMN_FILLED, row + 1)


@compiled
def end_strings(state: int) -> None:
    """Give the rows after the last string empty ones, and leave the text's length in COLUMN_FILLED."""
    for place in range(get(state, USED_COUNT)):
        column = used_column(state, place)
        if get(column, COLUMN_KIND) == STRING:
            rows = get(table_at(state, get(column, COLUMN_TABLE)), TABLE_ROWS)
            for empty in range(get(column, COLUMN_FILLED), rows + 1):
                store32(get(column, COLUMN_OFFSETS) + 4 * empty, get(column, COLUMN_VALUES))
            put(column, COLUMN_FILLED, get(column, COLUMN_VALUES))


@kernel(types.void(types.int64, types.int64, types.int64))
def fill(state: int, bases: int, paths: int) -> None:
    """Write every table's block. ``bases`` has their addresses, ``paths`` room for all steps.

    Afterwards COLUMN_FILLED has the length of each text buffer, and the places of buffers are addresses.
    """
    list_paths(state, paths)
    place_buffers(state, bases)
    write_dictionaries(state)
    for row in range(get(state, TABLE_COUNT)):
        put(table_at(state, row), TABLE_NEXT_ROW, 0)
    all_columns, all_pairs = get(state, COLUMNS), get(state, PAIRS)
    record = get(state, CELLS)
    end = record + 8 * get(state, CELL_COUNT)
    while record < end:
        series, node = series_at(state, get(record, RECORD_SERIES)), node_at(state, get(record, RECORD_NODE))
        number = get(series, SERIES_TABLE)
        table = table_at(state, number)
        row = get(table, TABLE_NEXT_ROW)
        put(table, TABLE_NEXT_ROW, row + 1)
        store64(get(bases, number) + 8 * row, get(record, RECORD_TIME))
        pair = all_pairs + get(series, SERIES_TAGS) * _PAIR
        for _ in range(get(series, SERIES_TAG_COUNT)):
            column = all_columns + get(pair, PAIR_COLUMN) * _COLUMN
            store32(get(column, COLUMN_DATA) + 4 * row, get(pair, PAIR_CODE))
            if get(column, COLUMN_VALID) != NOTHING:
                set_bit(get(column, COLUMN_VALID), row)
            pair += _PAIR
        step = paths + get(node, NODE_PATH) * _STEP
        for _ in range(get(node, NODE_DEPTH)):
            column = all_columns + get(step, STEP_COLUMN) * _COLUMN
            kind = get(step, STEP_KIND)
            cell = record + 8 * get(step, STEP_SLOT)
            step += _STEP
            if get(column, COLUMN_VALID) != NOTHING:
                set_bit(get(column, COLUMN_VALID), row)
            if kind == STRING:
                write_string(column, row, get(cell, 0), get(cell, 1))
            elif kind == BOOLEAN:
                if get(cell, 0) != 0:
                    set_bit(get(column, COLUMN_DATA), row)
            else:
                store64(get(column, COLUMN_DATA) + 8 * row, get(cell, 0))
        record += 8 * get(node, NODE_END)
    end_strings(state)
