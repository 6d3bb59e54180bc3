"""Record batches over the memory that ``lp_columns`` fills."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ctypes import string_at
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa
from headrace.wal.lp_columns import NOTHING, STEP_SIZE, fill, lay_out
from headrace.wal.lp_kinds import BOOLEAN, KINDS, STRING, TAG
from headrace.wal.lp_layout import (
    COLUMN_DATA,
    COLUMN_FILLED,
    COLUMN_KIND,
    COLUMN_KNOWN,
    COLUMN_LENGTH,
    COLUMN_NAME,
    COLUMN_OFFSETS,
    COLUMN_ROWS,
    COLUMN_TABLE,
    COLUMN_TEXT,
    COLUMN_VALID,
    COLUMN_VALUES,
    LONG_FLOAT_COUNT,
    TABLE_BYTES,
    TABLE_COUNT,
    TABLE_ROWS,
    USED_COUNT,
)
from headrace.wal.lp_scratch import Scratch, State, address_of
from headrace.wal.schema import TAG_TYPE, TIME_COLUMN, TIME_TYPE, ColumnType

_UTF8: Final = pa.utf8()
_ARROW: Final = {code: kind.arrow for code, kind in KINDS.items()}
# Making a schema takes as long as making its arrays, so those of likely size are kept.
_SCHEMAS_KEPT: Final = 512
_KEPT_NAME_BYTES: Final = 8 << 10


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of one table."""

    table: int
    batch: pa.RecordBatch
    new_columns: dict[str, ColumnType]


def _schema(names: tuple[str, ...], kinds: tuple[int, ...], name_bytes: int) -> pa.Schema:
    make = _kept_schema if name_bytes <= _KEPT_NAME_BYTES else _kept_schema.__wrapped__
    return make(names, kinds)


@lru_cache(_SCHEMAS_KEPT)
def _kept_schema(names: tuple[str, ...], kinds: tuple[int, ...]) -> pa.Schema:
    fields = [(name, _ARROW[kind]) for name, kind in zip(names, kinds, strict=True)]
    return pa.schema([*fields, (TIME_COLUMN, TIME_TYPE)])


def convert_long_floats(state: State) -> None:
    """Give the floats that have too many digits for the kernels their values, by Python's own conversion."""
    for cell, text, end in state.long_floats[: int(state.control[LONG_FLOAT_COUNT])].tolist():
        number = float(string_at(text, end - text))
        state.cells[cell] = struct.unpack("<q", struct.pack("<d", number))[0]


def record_batches(scratch: Scratch) -> Iterator[Batch]:
    """A record batch for each table that has rows, in the order of the tables' first lines."""
    state = scratch.state
    convert_long_floats(state)
    paths = np.empty((lay_out(scratch.address), STEP_SIZE), np.int64)
    count = int(state.control[TABLE_COUNT])
    sizes = state.tables[:count, TABLE_BYTES].tolist()
    blocks = [pa.allocate_buffer(size) for size in sizes]
    bases = np.array([block.address for block in blocks], np.int64)
    fill(scratch.address, address_of(bases), address_of(paths))
    by_table: list[list[list[int]]] = [[] for _ in range(count)]
    for column in state.columns[state.used[: int(state.control[USED_COUNT])]].tolist():
        by_table[column[COLUMN_TABLE]].append(column)
    for table, (rows, block, columns) in enumerate(
        zip(state.tables[:count, TABLE_ROWS].tolist(), blocks, by_table, strict=True)
    ):
        if rows:
            yield _batch(table, rows, block, columns)


def _batch(table: int, rows: int, block: pa.Buffer, columns: list[list[int]]) -> Batch:
    base = block.address
    names, kinds, arrays = [], [], []
    new = {}
    for column in columns:
        name = string_at(column[COLUMN_NAME], column[COLUMN_LENGTH]).decode()
        kind = column[COLUMN_KIND]
        names.append(name)
        kinds.append(kind)
        arrays.append(_array(column, rows, block, base))
        if not column[COLUMN_KNOWN]:
            new[name] = KINDS[kind]
    arrays.append(pa.Array.from_buffers(TIME_TYPE, rows, [None, block.slice(0, 8 * rows)], 0))
    schema = _schema(tuple(names), tuple(kinds), sum(column[COLUMN_LENGTH] for column in columns))
    return Batch(table, pa.RecordBatch.from_arrays(arrays, schema=schema), new)


def _array(column: list[int], rows: int, block: pa.Buffer, base: int) -> pa.Array:
    """The array over a column's buffers, which lie in ``block``, whose address is ``base``."""
    kind, data = column[COLUMN_KIND], column[COLUMN_DATA] - base
    nulls = rows - column[COLUMN_ROWS]
    bits = (rows + 7) >> 3
    valid = None if column[COLUMN_VALID] == NOTHING else block.slice(column[COLUMN_VALID] - base, bits)
    if kind in (TAG, STRING):
        entries = column[COLUMN_VALUES] if kind == TAG else rows
        offsets = block.slice(column[COLUMN_OFFSETS] - base, 4 * (entries + 1))
        text = block.slice(column[COLUMN_TEXT] - base, column[COLUMN_FILLED])
        if kind == STRING:
            return pa.Array.from_buffers(_UTF8, rows, [valid, offsets, text], nulls)
        dictionary = pa.Array.from_buffers(_UTF8, entries, [None, offsets, text], 0)
        codes = block.slice(data, 4 * rows)
        return pa.DictionaryArray.from_buffers(TAG_TYPE, rows, [valid, codes], dictionary, nulls)
    size = bits if kind == BOOLEAN else 8 * rows
    return pa.Array.from_buffers(_ARROW[kind], rows, [valid, block.slice(data, size)], nulls)
