"""From rows' records to Arrow columns: how large each column's buffers are, and what goes into them.

``lay_out`` counts, from how often each field path and each series occurred, which columns have a
value in every row, and gives every buffer its place in one block of memory a table. ``fill`` walks
the records once and writes the blocks. Buffers start at multiples of 64 bytes, as Arrow recommends.
"""

from __future__ import annotations

from typing import Final

from headrace.wal.lp_kinds import BOOLEAN, STRING, TAG
from headrace.wal.lp_state import (
    CELL_COUNT,
    COLUMN_BYTES,
    COLUMN_DATA,
    COLUMN_FILLED,
    COLUMN_KIND,
    COLUMN_OFFSETS,
    COLUMN_ROWS,
    COLUMN_TABLE,
    COLUMN_TEXT,
    COLUMN_USED,
    COLUMN_VALID,
    COLUMN_VALUES,
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
    RECORD_NODE,
    RECORD_SERIES,
    RECORD_TIME,
    SERIES_COUNT,
    SERIES_ROWS,
    SERIES_TABLE,
    SERIES_TAG_COUNT,
    SERIES_TAGS,
    STATE,
    TABLE_BYTES,
    TABLE_COUNT,
    TABLE_ROWS,
    TABLE_TIME,
    TABLE_WIDTH,
    USED_COUNT,
    VALUE_CODE,
    VALUE_COLUMN,
    VALUE_COUNT,
    VALUE_LENGTH,
    VALUE_TEXT,
    WORD_ROWS,
    WORDS,
    State,
    Words,
)
from headrace.wal.lp_tokens import resolve_string
from headrace.wal.lp_words import clear, compiled, copy, kernel, load8, store8, store32, store64
from numba import types

# A step of a field path: where the value is in the record, what it is, and which column gets it.
STEP_SLOT, STEP_KIND, STEP_COLUMN, STEP_SIZE = range(4)
_LENGTH: Final = (1 << 32) - 1
NOTHING: Final = -1


@compiled
def aligned(size: int) -> int:
    return (size + 63) & ~63


@compiled
def bitmap(rows: int) -> int:
    return aligned((rows + 7) >> 3)


@kernel(types.int64(STATE))
def lay_out(state: State) -> int:
    """Place every buffer of every used column; gives the number of steps of all field paths."""
    nodes, columns, tables = state.nodes, state.columns, state.tables
    count = state.control[NODE_COUNT]
    for row in range(count):
        nodes[row, NODE_NEXT] = 0
    steps = 0
    for row in range(count - 1, 0, -1):
        if nodes[row, NODE_DEPTH] == 0:
            continue
        if nodes[row, NODE_ROWS] > 0:
            nodes[row, NODE_PATH] = steps
            steps += nodes[row, NODE_DEPTH]
        passing = nodes[row, NODE_ROWS] + nodes[row, NODE_NEXT]
        nodes[nodes[row, NODE_PARENT], NODE_NEXT] += passing
        columns[nodes[row, NODE_COLUMN], COLUMN_ROWS] += passing
    for row in range(1, state.control[SERIES_COUNT]):
        rows = state.series[row, SERIES_ROWS]
        if rows > 0:
            first = state.series[row, SERIES_TAGS]
            for i in range(state.series[row, SERIES_TAG_COUNT]):
                columns[state.pairs[first + i, PAIR_COLUMN], COLUMN_ROWS] += rows
    for table in range(state.control[TABLE_COUNT]):
        tables[table, TABLE_TIME] = 0
        tables[table, TABLE_BYTES] = aligned(8 * tables[table, TABLE_ROWS])
    for i in range(state.control[USED_COUNT]):
        column = columns[state.used[i]]
        rows = tables[column[COLUMN_TABLE], TABLE_ROWS]
        size = tables[column[COLUMN_TABLE], TABLE_BYTES]
        column[COLUMN_VALID] = NOTHING
        if column[COLUMN_ROWS] < rows:
            column[COLUMN_VALID] = size
            size += bitmap(rows)
        column[COLUMN_DATA] = size
        kind = column[COLUMN_KIND]
        if kind == TAG:
            size += aligned(4 * rows)
            column[COLUMN_OFFSETS] = size
            size += aligned(4 * (column[COLUMN_VALUES] + 1))
            column[COLUMN_TEXT] = size
            size += aligned(column[COLUMN_BYTES])
        elif kind == STRING:
            column[COLUMN_OFFSETS] = size
            size += aligned(4 * (rows + 1))
            column[COLUMN_TEXT] = size
            size += aligned(column[COLUMN_BYTES])
        elif kind == BOOLEAN:
            size += bitmap(rows)
        else:
            size += aligned(8 * rows)
        tables[column[COLUMN_TABLE], TABLE_BYTES] = size
    return steps


@compiled
def set_bit(bits: int, row: int) -> None:
    at = bits + (row >> 3)
    store8(at, load8(at) | (1 << (row & 7)))


@compiled
def list_paths(state: State, paths: Words) -> None:
    """Write out the steps of every path that a row has."""
    nodes = state.nodes
    for row in range(1, state.control[NODE_COUNT]):
        if nodes[row, NODE_ROWS] == 0:
            continue
        step = nodes[row, NODE_PATH] + nodes[row, NODE_DEPTH]
        node = row
        while nodes[node, NODE_DEPTH] > 0:
            step -= 1
            paths[step, STEP_SLOT] = nodes[node, NODE_SLOT]
            paths[step, STEP_KIND] = nodes[node, NODE_KIND]
            paths[step, STEP_COLUMN] = nodes[node, NODE_COLUMN]
            node = nodes[node, NODE_PARENT]


@compiled
def write_dictionaries(state: State, bases: Words) -> None:
    columns, values = state.columns, state.values
    for row in range(state.control[VALUE_COUNT]):
        column = columns[values[row, VALUE_COLUMN]]
        if column[COLUMN_USED] == 0 or column[COLUMN_KIND] != TAG:
            continue
        base = bases[column[COLUMN_TABLE]]
        length = values[row, VALUE_LENGTH]
        filled = column[COLUMN_FILLED]
        store32(base + column[COLUMN_OFFSETS] + 4 * values[row, VALUE_CODE], filled)
        copy(base + column[COLUMN_TEXT] + filled, values[row, VALUE_TEXT], length)
        column[COLUMN_FILLED] = filled + length
    for i in range(state.control[USED_COUNT]):
        column = columns[state.used[i]]
        if column[COLUMN_KIND] == TAG:
            base = bases[column[COLUMN_TABLE]]
            store32(base + column[COLUMN_OFFSETS] + 4 * column[COLUMN_VALUES], column[COLUMN_FILLED])


@compiled
def write_string(columns: Words, column: int, offsets: int, text: int, row: int, at: int, packed: int) -> None:
    """Append a string, and empty ones for the rows since the last that had one."""
    length = packed & _LENGTH
    position = columns[column, COLUMN_VALUES]
    for empty in range(columns[column, COLUMN_FILLED], row + 1):
        store32(offsets + 4 * empty, position)
    if packed >> 32 == 0:
        copy(text + position, at, length)
        position += length
    else:
        position += resolve_string(at, at + length, text + position)
    columns[column, COLUMN_VALUES] = position
    columns[column, COLUMN_FILLED] = row + 1


@kernel(types.void(STATE, WORDS, WORD_ROWS))
def fill(state: State, bases: Words, paths: Words) -> None:
    """Write every table's block. ``bases`` has their addresses, ``paths`` room for all steps.

    Afterwards COLUMN_FILLED has the length of each text buffer.
    """
    nodes, columns, tables, cells, pairs = state.nodes, state.columns, state.tables, state.cells, state.pairs
    list_paths(state, paths)
    write_dictionaries(state, bases)
    for i in range(state.control[USED_COUNT]):
        column = columns[state.used[i]]
        rows = tables[column[COLUMN_TABLE], TABLE_ROWS]
        base = bases[column[COLUMN_TABLE]]
        kind = column[COLUMN_KIND]
        if kind == BOOLEAN:
            clear(base + column[COLUMN_DATA], bitmap(rows))
        if kind == STRING:
            column[COLUMN_VALUES] = 0
        if column[COLUMN_VALID] != NOTHING:
            clear(base + column[COLUMN_VALID], bitmap(rows))
            if kind == TAG:
                clear(base + column[COLUMN_DATA], 4 * rows)
            elif kind != BOOLEAN and kind != STRING:
                clear(base + column[COLUMN_DATA], 8 * rows)
    for table in range(state.control[TABLE_COUNT]):
        tables[table, TABLE_WIDTH] = 0  # from here on: the next row
    at = 0
    while at < state.control[CELL_COUNT]:
        series, node = cells[at + RECORD_SERIES], cells[at + RECORD_NODE]
        table = state.series[series, SERIES_TABLE]
        row = tables[table, TABLE_WIDTH]
        tables[table, TABLE_WIDTH] = row + 1
        base = bases[table]
        store64(base + 8 * row, cells[at + RECORD_TIME])
        first = state.series[series, SERIES_TAGS]
        for i in range(first, first + state.series[series, SERIES_TAG_COUNT]):
            column = pairs[i, PAIR_COLUMN]
            store32(base + columns[column, COLUMN_DATA] + 4 * row, pairs[i, PAIR_CODE])
            if columns[column, COLUMN_VALID] != NOTHING:
                set_bit(base + columns[column, COLUMN_VALID], row)
        step = nodes[node, NODE_PATH]
        for i in range(step, step + nodes[node, NODE_DEPTH]):
            column = paths[i, STEP_COLUMN]
            kind = paths[i, STEP_KIND]
            cell = at + paths[i, STEP_SLOT]
            if columns[column, COLUMN_VALID] != NOTHING:
                set_bit(base + columns[column, COLUMN_VALID], row)
            if kind == STRING:
                offsets, text = base + columns[column, COLUMN_OFFSETS], base + columns[column, COLUMN_TEXT]
                write_string(columns, column, offsets, text, row, cells[cell], cells[cell + 1])
            elif kind == BOOLEAN:
                if cells[cell] != 0:
                    set_bit(base + columns[column, COLUMN_DATA], row)
            else:
                store64(base + columns[column, COLUMN_DATA] + 8 * row, cells[cell])
        at += nodes[node, NODE_END]
    for i in range(state.control[USED_COUNT]):
        column = columns[state.used[i]]
        if column[COLUMN_KIND] == STRING:
            offsets = bases[column[COLUMN_TABLE]] + column[COLUMN_OFFSETS]
            for empty in range(column[COLUMN_FILLED], tables[column[COLUMN_TABLE], TABLE_ROWS] + 1):
                store32(offsets + 4 * empty, column[COLUMN_VALUES])
            column[COLUMN_FILLED] = column[COLUMN_VALUES]
