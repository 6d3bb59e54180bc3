"""Telling the kernels what the catalog knows about a table."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from headrace.wal.lp_kinds import CODES
from headrace.wal.lp_names import column_of
from headrace.wal.lp_state import COLUMN_KIND, COLUMN_KNOWN, NEED, NEED_BYTES, Scratch, Words, address_of, column_at
from headrace.wal.lp_words import get, kernel, put
from headrace.wal.schema import TIME_COLUMN, TableSchema
from numba import types

_KEPT: Final = 1024


class PackedSchema(NamedTuple):
    """A schema's columns without ``time``: names one after the other, where each ends, kinds."""

    schema: TableSchema
    names: bytes
    ends: Words
    kinds: Words


# By the schema's identity; holding the schema keeps the identity from being given to another.
_packed: dict[int, PackedSchema] = {}


@kernel(types.void(types.int64, types.int64, types.int64, types.int64, types.int64, types.int64))
def add_columns(state: int, table: int, count: int, names: int, ends: int, kinds: int) -> None:
    start = 0
    for i in range(count):
        column = column_at(state, column_of(state, table, names + start, get(ends, i) - start))
        put(column, COLUMN_KIND, get(kinds, i))
        put(column, COLUMN_KNOWN, 1)
        start = get(ends, i)


def register(scratch: Scratch, table: int, schema: TableSchema) -> None:
    """Enter the columns of ``schema`` as settled columns of ``table``."""
    packed = _packed.get(id(schema))
    if packed is None:
        packed = _pack(schema)
        if len(_packed) >= _KEPT:
            _packed.clear()
        _packed[id(schema)] = packed
    scratch.state.control[NEED] = len(packed.kinds)
    scratch.state.control[NEED_BYTES] = 0
    scratch.grow()
    names, ends, kinds = scratch.keep(packed.names), address_of(packed.ends), address_of(packed.kinds)
    add_columns(scratch.address, table, len(packed.kinds), names, ends, kinds)


def _pack(schema: TableSchema) -> PackedSchema:
    names = [name.encode() for name in schema.columns if name != TIME_COLUMN]
    kinds = [CODES[kind] for name, kind in schema.columns.items() if name != TIME_COLUMN]
    ends = np.cumsum([len(name) for name in names], dtype=np.int64)
    return PackedSchema(schema, b"".join(names), ends, np.array(kinds, np.int64))
