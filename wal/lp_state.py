"""What the line protocol kernels know while they parse one body: flat tables of ``int64``.

Each table is a numpy array of rows with named columns; rows are appended and never move, so a
row's number is its identity. The arrays are scratch memory: one set a thread, kept between bodies
unless a body made them large, and never trusted to hold anything from the body before (every
counter starts at zero, every hash index is cleared). What a row holds is bounded by the body,
since each row takes at least one byte of it.

A kernel that runs out of room stops before the line that needs it; :meth:`Scratch.grow` makes room
and the kernel goes on at that line.
"""

from __future__ import annotations

import secrets
import threading
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from headrace.wal.lp_words import clear, compiled, get, kernel, put
from numba import types

Words: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

MAX_ERRORS: Final = 1000
"""Errors kept for a body; those beyond are counted."""
MAX_LINE_COLUMNS: Final = 8192
"""Tags of a line, and fields of a line."""
MAX_TABLES: Final = 10_000
"""Tables in a body."""
MAX_COLUMNS: Final = 100_000
"""Columns of all tables in a body."""
MIN_CELLS: Final = 1 << 24
"""Rows times columns, over all tables, that any body may come to: 128 MiB of values."""
CELLS_PER_BYTE: Final = 2
"""What longer bodies may come to; bounds the memory of tables whose lines share few columns."""
PADDING: Final = 64
"""Readable bytes a kernel is owed behind the text it is given."""

# Counters, settings and addresses, one word each, in State.control: the one thing that kernels are handed.
(
    POSITION,  # where the kernel stopped: the start of a line
    SEED,
    UNIT,  # nanoseconds of one unit of time; 0: guess from the magnitude
    DEFAULT_TIME,
    CHECK_UTF8,  # 1: the body is not all UTF-8, look at every line
    TABLE_COUNT,
    COLUMN_COUNT,
    NODE_COUNT,
    SERIES_COUNT,
    PAIR_COUNT,
    VALUE_COUNT,
    USED_COUNT,  # columns that good lines use
    LONG_FLOAT_COUNT,
    CELL_COUNT,  # words of State.cells in use
    ROW_COUNT,
    ERROR_COUNT,
    LAST_SERIES,
    LINE_SERIAL,
    DENSE_CELLS,  # rows times columns so far
    DENSE_LIMIT,
    TABLE_MASK,  # sizes of the hash indexes, less one
    COLUMN_MASK,
    NODE_MASK,
    SERIES_MASK,
    VALUE_MASK,
    ARENA,  # the next free byte for resolved names
    ARENA_END,
    NEED,  # rows the stopped line may add to any table
    NEED_BYTES,  # bytes of names the stopped line may add
    TABLES,  # addresses of the arrays
    TABLE_INDEX,
    COLUMNS,
    COLUMN_INDEX,
    USED,
    NODES,
    NODE_INDEX,
    SERIES,
    SERIES_INDEX,
    PAIRS,
    VALUES,
    VALUE_INDEX,
    FIELDS,
    CELLS,
    LONG_FLOATS,
    ERRORS,
    TABLE_ROOM,  # how many rows the arrays have
    COLUMN_ROOM,
    NODE_ROOM,
    SERIES_ROOM,
    PAIR_ROOM,
    VALUE_ROOM,
    CELL_ROOM,
    LONG_FLOAT_ROOM,
    CONTROL_SIZE,
) = range(54)

# A table, the roots of the paths its fields and its tags take, its name as it stands in lines.
(
    TABLE_NAME,
    TABLE_LENGTH,
    TABLE_HASH,
    TABLE_ROOT,
    TABLE_TAG_ROOT,
    TABLE_RAW,
    TABLE_RAW_LENGTH,
    TABLE_ROWS,
    TABLE_WIDTH,  # columns that good lines use
    TABLE_BYTES,  # of the memory its columns need
    TABLE_NEXT_ROW,  # the row that is written next
    TABLE_SIZE,
) = range(12)

# A column of a table. KIND is a code of `lp_columns.KINDS`, 0 until a good line or the catalog settles it.
(
    COLUMN_TABLE,
    COLUMN_NAME,
    COLUMN_LENGTH,
    COLUMN_HASH,
    COLUMN_KIND,
    COLUMN_USED,  # 1 once a good line has it
    COLUMN_KNOWN,  # 1 if the catalog has it
    COLUMN_MARK,  # serial of the last line that was seen to have it
    COLUMN_ROWS,  # rows that have a value
    COLUMN_BYTES,  # of strings: of all values; of tags: of the dictionary
    COLUMN_VALUES,  # of tags: entries of the dictionary
    COLUMN_DATA,  # where the parts of the Arrow array go, as offsets into the table's memory, then as addresses
    COLUMN_VALID,
    COLUMN_OFFSETS,
    COLUMN_TEXT,
    COLUMN_FILLED,  # rows (or dictionary entries) written so far
    COLUMN_SIZE,
) = range(17)

# A node: one field at one place in the field sets of a table. A path from the root is a field set.
# The first eight words are all that the fast loop looks at.
(
    NODE_WORD,  # the first eight bytes of the key with its equals sign
    NODE_WORD_MASK,  # which of them count
    NODE_LENGTH,
    NODE_KEY,
    NODE_NEXT,  # the child that came next the last time
    NODE_KIND,
    NODE_COLUMN,
    NODE_SIBLING,
    NODE_CHILD,  # the newest child
    NODE_PARENT,
    NODE_SLOT,  # first word of the value in the row's record
    NODE_END,  # words of the record up to and including this field
    NODE_ROWS,  # rows whose field set ends here
    NODE_DEPTH,
    NODE_PATH,  # where the list of the path's nodes starts, once laid out
    NODE_HASH,
) = range(16)
NODE_SIZE: Final = 16

# A series: the distinct bytes in front of a line's first unescaped space.
(
    SERIES_KEY,
    SERIES_LENGTH,
    SERIES_NEXT,  # the series that came next the last time
    SERIES_GOOD,  # 1 once its tags are settled as tags
    SERIES_ROOT,
    SERIES_ROWS,
    SERIES_TABLE,
    SERIES_HASH,
    SERIES_TAGS,  # its first row in `pairs`
    SERIES_TAG_COUNT,
    SERIES_SIZE,
) = range(11)

# A tag of a series.
PAIR_COLUMN, PAIR_CODE, PAIR_SIZE = range(3)

# A distinct value of a tag.
VALUE_COLUMN, VALUE_TEXT, VALUE_LENGTH, VALUE_HASH, VALUE_CODE, VALUE_SIZE = range(6)

# A field of the line that the general path is looking at. Values take one word, strings two.
FIELD_KEY, FIELD_KEY_END, FIELD_ESCAPED, FIELD_KIND, FIELD_FIRST, FIELD_SECOND, FIELD_COLUMN, FIELD_SIZE = range(8)

# The record of a row in `cells`: these words, then the values in the order of its field set.
RECORD_SERIES, RECORD_NODE, RECORD_TIME, RECORD_HEADER = range(4)

# An error. AT and AT_END delimit the text the message is about.
ERROR_CODE, ERROR_LINE, ERROR_LINE_END, ERROR_AT, ERROR_AT_END, ERROR_COLUMN, ERROR_GOT, ERROR_EXPECTED = range(8)
ERROR_SIZE: Final = 8

# A float of more digits than kernels convert: its word in `cells`, its text.
LONG_CELL, LONG_TEXT, LONG_END, LONG_SIZE = range(4)


class State(NamedTuple):
    """All that a kernel works on."""

    control: Words
    tables: Words
    table_index: Words
    columns: Words
    column_index: Words
    used: Words
    nodes: Words
    node_index: Words
    series: Words
    series_index: Words
    pairs: Words
    values: Words
    value_index: Words
    fields: Words
    cells: Words
    long_floats: Words
    errors: Words


# Which array holds the rows, which index finds them, which counter counts them, which mask sizes the index,
# which column has the hash (0 for rows that no index holds: the roots of field paths).
_INDEXED: Final = (
    ("tables", "table_index", TABLE_COUNT, TABLE_MASK, TABLE_HASH),
    ("columns", "column_index", COLUMN_COUNT, COLUMN_MASK, COLUMN_HASH),
    ("nodes", "node_index", NODE_COUNT, NODE_MASK, NODE_HASH),
    ("series", "series_index", SERIES_COUNT, SERIES_MASK, SERIES_HASH),
    ("values", "value_index", VALUE_COUNT, VALUE_MASK, VALUE_HASH),
)
_FROM_ONE: Final = ("nodes", "series")
_SEED: Final = secrets.randbits(63)
_NO_NODE: Final = np.array([-1 if word < 2 else 0 for word in range(NODE_SIZE)], np.int64)
_SMALL_INDEX: Final = 512
_KEPT_BYTES: Final = 64 << 20
_ARENA_CHUNK: Final = 1 << 16


_ARRAYS: Final = (
    "tables",
    "table_index",
    "columns",
    "column_index",
    "used",
    "nodes",
    "node_index",
    "series",
    "series_index",
    "pairs",
    "values",
    "value_index",
    "fields",
    "cells",
    "long_floats",
    "errors",
)
_ADDRESSES: Final = slice(TABLES, ERRORS + 1)
_ROOM_OF: Final = ("tables", "columns", "nodes", "series", "pairs", "values", "cells", "long_floats")
_ROOMS: Final = slice(TABLE_ROOM, LONG_FLOAT_ROOM + 1)


def address_of(array: Words) -> int:
    """Where the array's memory starts."""
    return int(array.__array_interface__["data"][0])


def _empty(rows: int, width: int = 1) -> Words:
    return np.empty((rows, width) if width > 1 else rows, np.int64)


def _fresh() -> State:
    return State(
        control=np.zeros(CONTROL_SIZE, np.int64),
        tables=_empty(64, TABLE_SIZE),
        table_index=_empty(_SMALL_INDEX),
        columns=_empty(1024, COLUMN_SIZE),
        column_index=_empty(2048),
        used=_empty(1024),
        nodes=_empty(1024, NODE_SIZE),
        node_index=_empty(2048),
        series=_empty(1024, SERIES_SIZE),
        series_index=_empty(2048),
        pairs=_empty(8192, PAIR_SIZE),
        values=_empty(2048, VALUE_SIZE),
        value_index=_empty(4096),
        fields=_empty(MAX_LINE_COLUMNS, FIELD_SIZE),
        cells=_empty(1 << 16),
        long_floats=_empty(MAX_LINE_COLUMNS, LONG_SIZE),
        errors=_empty(MAX_ERRORS, ERROR_SIZE),
    )


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


class Scratch:
    """The state of one body, and the memory it points into."""

    __slots__ = ("_arena", "_kept", "address", "state")

    def __init__(self) -> None:
        self.state = _fresh()
        self.address = address_of(self.state.control)
        """What a kernel is handed: where the control words are."""
        self._arena = pa.allocate_buffer(_ARENA_CHUNK)
        self._kept: list[object] = []
        self._publish()

    def reset(self, body_length: int, unit: int, default_time_ns: int, check_utf8: bool) -> None:
        """Forget everything and get ready for a body of this length."""
        likely_cells = body_length // 8 + 4 * MAX_LINE_COLUMNS
        if len(self.state.cells) < likely_cells:
            self.state = self.state._replace(cells=_empty(likely_cells))
            self._publish()
        self._kept.clear()
        state = self.state
        control = state.control
        control[:TABLES] = 0
        control[SEED] = _SEED
        control[UNIT] = unit
        control[DEFAULT_TIME] = default_time_ns
        control[CHECK_UTF8] = check_utf8
        control[DENSE_LIMIT] = max(MIN_CELLS, CELLS_PER_BYTE * body_length)
        control[ARENA] = arena = self._arena.address
        control[ARENA_END] = arena + _ARENA_CHUNK - PADDING
        many = min(max(_SMALL_INDEX, _power_of_two(body_length >> 7 or 1)), 1 << 16)
        for index, mask, size in (
            (state.table_index, TABLE_MASK, _SMALL_INDEX),
            (state.column_index, COLUMN_MASK, 2 * _SMALL_INDEX),
            (state.node_index, NODE_MASK, 2 * _SMALL_INDEX),
            (state.series_index, SERIES_MASK, many),
            (state.value_index, VALUE_MASK, many),
        ):
            size = min(size, len(index))
            index[:size] = 0
            control[mask] = size - 1
        # Row 0 of nodes and series stands for "none": no key of theirs ever matches.
        state.nodes[0] = _NO_NODE
        state.series[0] = 0
        control[NODE_COUNT] = control[SERIES_COUNT] = 1

    def grow(self) -> None:
        """Make room for the line at which the kernel stopped."""
        control = self.state.control
        need = int(control[NEED]) + 16
        new: dict[str, Words] = {}
        stale = []
        for name, index_name, count, mask, hash_column in _INDEXED:
            rows, index = getattr(self.state, name), getattr(self.state, index_name)
            wanted = int(control[count]) + need
            if wanted > len(rows):
                new[name] = _enlarged(rows, int(control[count]), 2 * wanted)
            if 2 * wanted > control[mask] + 1:
                size = _power_of_two(4 * wanted)
                new[index_name] = index if size <= len(index) else _empty(size)
                control[mask] = size - 1
                stale.append((name, index_name, count, mask, hash_column))
        for name, count, least in (("pairs", PAIR_COUNT, need), ("long_floats", LONG_FLOAT_COUNT, MAX_LINE_COLUMNS)):
            rows = getattr(self.state, name)
            wanted = int(control[count]) + least
            if wanted > len(rows):
                new[name] = _enlarged(rows, int(control[count]), 2 * wanted)
        wanted = int(control[CELL_COUNT]) + RECORD_HEADER + 2 * MAX_LINE_COLUMNS + 1
        if wanted > len(self.state.cells):
            new["cells"] = _enlarged(self.state.cells, int(control[CELL_COUNT]), 2 * wanted)
        if "columns" in new:
            new["used"] = _enlarged(self.state.used, int(control[USED_COUNT]), len(new["columns"]))
        self.state = self.state._replace(**new)
        self._publish()
        for name, index_name, count, mask, hash_column in stale:
            rows, index = getattr(self.state, name), getattr(self.state, index_name)
            first = 1 if name in _FROM_ONE else 0
            size, last = int(control[mask]), int(control[count])
            reindex(address_of(index), size, address_of(rows), rows.shape[1], hash_column, first, last)
        needed_bytes = int(control[NEED_BYTES])
        if control[ARENA_END] - control[ARENA] < needed_bytes:
            arena = pa.allocate_buffer(max(_ARENA_CHUNK, 2 * needed_bytes) + PADDING)
            self._kept.append(arena)
            control[ARENA] = arena.address
            control[ARENA_END] = arena.address + arena.size - PADDING

    def keep(self, owner: object) -> None:
        """Keep alive what kernels point into until the next body."""
        self._kept.append(owner)

    @property
    def is_worth_keeping(self) -> bool:
        return sum(array.nbytes for array in self.state) <= _KEPT_BYTES

    def _publish(self) -> None:
        """Tell the kernels where the arrays are and how many rows they have."""
        control = self.state.control
        control[_ADDRESSES] = [address_of(getattr(self.state, name)) for name in _ARRAYS]
        control[_ROOMS] = [len(getattr(self.state, name)) for name in _ROOM_OF]


def _enlarged(rows: Words, used: int, size: int) -> Words:
    larger = np.empty((size, *rows.shape[1:]), np.int64)
    larger[:used] = rows[:used]
    return larger


@compiled
def place(index: int, mask: int, hash_: int, row: int) -> None:
    """Enter a row into a hash index, whose free places hold 0 and the others row + 1."""
    at = hash_ & mask
    while get(index, at) != 0:
        at = (at + 1) & mask
    put(index, at, row + 1)


@kernel(types.void(types.int64, types.int64, types.int64, types.int64, types.int64, types.int64, types.int64))
def reindex(index: int, mask: int, rows: int, size: int, hash_place: int, first: int, count: int) -> None:
    """Fill an index anew: a row's place is the first free one from its hash on."""
    clear(index, 8 * (mask + 1))
    for row in range(first, count):
        hash_ = get(rows + row * 8 * size, hash_place)
        if hash_ != 0:
            place(index, mask, hash_, row)


@compiled
def table_at(state: int, row: int) -> int:
    return get(state, TABLES) + row * (8 * TABLE_SIZE)


@compiled
def column_at(state: int, row: int) -> int:
    return get(state, COLUMNS) + row * (8 * COLUMN_SIZE)


@compiled
def node_at(state: int, row: int) -> int:
    return get(state, NODES) + row * (8 * NODE_SIZE)


@compiled
def series_at(state: int, row: int) -> int:
    return get(state, SERIES) + row * (8 * SERIES_SIZE)


@compiled
def pair_at(state: int, row: int) -> int:
    return get(state, PAIRS) + row * (8 * PAIR_SIZE)


@compiled
def value_at(state: int, row: int) -> int:
    return get(state, VALUES) + row * (8 * VALUE_SIZE)


@compiled
def field_at(state: int, row: int) -> int:
    return get(state, FIELDS) + row * (8 * FIELD_SIZE)


@compiled
def long_float_at(state: int, row: int) -> int:
    return get(state, LONG_FLOATS) + row * (8 * LONG_SIZE)


@compiled
def error_at(state: int, row: int) -> int:
    return get(state, ERRORS) + row * (8 * ERROR_SIZE)


_THREAD: Final = threading.local()


def borrow() -> Scratch:
    """The calling thread's scratch memory; give it back with :func:`give_back`."""
    scratch: Scratch | None = getattr(_THREAD, "scratch", None)
    _THREAD.scratch = None
    return scratch if scratch is not None else Scratch()


def give_back(scratch: Scratch) -> None:
    if scratch.is_worth_keeping:
        _THREAD.scratch = scratch
