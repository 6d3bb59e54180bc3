"""Scratch memory for parsing one body: the tables that ``lp_layout`` describes, as numpy arrays.

One set a thread, kept between bodies unless a body made it large, and never trusted to hold
anything from the body before: every counter starts at zero, every hash index is cleared. What a
table holds is bounded by the body, since each row takes at least one byte of it.

A kernel that runs out of room stops before the line that needs it; :meth:`Scratch.grow` makes room
and the kernel goes on at that line.
"""

from __future__ import annotations

import secrets
import threading
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from headrace.wal.lp_layout import (
    ARENA,
    ARENA_END,
    CELL_COUNT,
    CELLS_PER_BYTE,
    CHECK_UTF8,
    COLUMN_COUNT,
    COLUMN_HASH,
    COLUMN_MASK,
    COLUMN_SIZE,
    CONTROL_SIZE,
    DEFAULT_TIME,
    DENSE_LIMIT,
    ERROR_SIZE,
    ERRORS,
    FIELD_SIZE,
    LONG_FLOAT_COUNT,
    LONG_FLOAT_ROOM,
    LONG_SIZE,
    MAX_ERRORS,
    MAX_LINE_COLUMNS,
    MIN_CELLS,
    NEED,
    NEED_BYTES,
    NODE_COUNT,
    NODE_HASH,
    NODE_MASK,
    NODE_SIZE,
    PADDING,
    PAIR_COUNT,
    PAIR_SIZE,
    RECORD_HEADER,
    SEED,
    SERIES_COUNT,
    SERIES_HASH,
    SERIES_MASK,
    SERIES_SIZE,
    TABLE_COUNT,
    TABLE_HASH,
    TABLE_MASK,
    TABLE_ROOM,
    TABLE_SIZE,
    TABLES,
    UNIT,
    USED_COUNT,
    VALUE_COUNT,
    VALUE_HASH,
    VALUE_MASK,
    VALUE_SIZE,
    place,
)
from headrace.wal.lp_words import clear, get, kernel
from numba import types

Words: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


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
# which column has the hash (0 for rows that no index holds: the roots of paths).
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
_KEPT_BYTES: Final = 16 << 20  # by each thread, between bodies
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


@kernel(types.void(types.int64, types.int64, types.int64, types.int64, types.int64, types.int64, types.int64))
def reindex(index: int, mask: int, rows: int, size: int, hash_place: int, first: int, count: int) -> None:
    """Fill an index anew: a row's place is the first free one from its hash on."""
    clear(index, 8 * (mask + 1))
    for row in range(first, count):
        hash_ = get(rows + row * 8 * size, hash_place)
        if hash_ != 0:
            place(index, mask, hash_, row)


_THREAD: Final = threading.local()


def borrow() -> Scratch:
    """The calling thread's scratch memory; give it back with :func:`give_back`."""
    scratch: Scratch | None = getattr(_THREAD, "scratch", None)
    _THREAD.scratch = None
    return scratch if scratch is not None else Scratch()


def give_back(scratch: Scratch) -> None:
    if scratch.is_worth_keeping:
        _THREAD.scratch = scratch
