"""Telling the kernels what the catalog knows about a table."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from headrace.wal.lp_kinds import CODES
from headrace.wal.lp_layout import COLUMN_KIND, COLUMN_KNOWN, PADDING, column_at
from headrace.wal.lp_line import has_room
from headrace.wal.lp_names import column_of
from headrace.wal.lp_scratch import Scratch, Words, address_of
from headrace.wal.lp_words import get, kernel, put
from headrace.wal.schema import TIME_COLUMN, TableSchema
from numba import types

_KEPT: Final = 1024


class PackedSchema(NamedTuple):
    """A schema's columns without ``time``: names one after the other, where each ends, kinds."""

    schema: TableSchema
    names: Words
    ends: Words
    kinds: Words
    addresses: tuple[int, int, int]


# By the schema's identity; holding the schema keeps the identity from being given to another.
_packed: dict[int, PackedSchema] = {}


@kernel(types.boolean(types.int64, types.int64, types.int64, types.int64, types.int64, types.int64))
def add_columns(state: int, table: int, count: int, names: int, ends: int, kinds: int) -> bool:
    """Enter settled columns of a table; False, and nothing done, if there is no room for so many."""
    if not has_room(state, count, 0):
        return False
    start = 0
    for i in range(count):
        column = column_at(state, column_of(state, table, names + start, get(ends, i) - start))
        put(column, COLUMN_KIND, get(kinds, i))
        put(column, COLUMN_KNOWN, 1)
        start = get(ends, i)
    return True


def register(scratch: Scratch, table: int, schema: TableSchema) -> None:
    """Enter the columns of ``schema`` as settled columns of ``table``."""
    packed = _packed.get(id(schema))
    if packed is None:
        packed = _pack(schema)
        if len(_packed) >= _KEPT:
            _packed.clear()
        _packed[id(schema)] = packed
    scratch.keep(packed)
    while not add_columns(scratch.address, table, len(packed.kinds), *packed.addresses):
        scratch.grow()


def _pack(schema: TableSchema) -> PackedSchema:
    columns = [(name.encode(), CODES[kind]) for name, kind in schema.columns.items() if name != TIME_COLUMN]
    text = b"".join(name for name, _ in columns) + bytes(PADDING)
    names = np.frombuffer(text.ljust(-(-len(text) // 8) * 8, b"\0"), np.int64)
    ends = np.cumsum([len(name) for name, _ in columns], dtype=np.int64)
    kinds = np.array([code for _, code in columns], np.int64)
    return PackedSchema(schema, names, ends, kinds, (address_of(names), address_of(ends), address_of(kinds)))
