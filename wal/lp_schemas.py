"""Telling the kernels what the catalog knows about a table."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from headrace.wal.lp_kinds import CODES
from headrace.wal.lp_names import column_of
from headrace.wal.lp_state import COLUMN_KIND, COLUMN_KNOWN, NEED, NEED_BYTES, STATE, WORDS, Scratch, State, Words
from headrace.wal.lp_words import kernel
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


@kernel(types.void(STATE, types.int64, types.int64, WORDS, WORDS))
def add_columns(state: State, table: int, names: int, ends: Words, kinds: Words) -> None:
    start = 0
    for i in range(len(kinds)):
        column = column_of(state, table, names + start, ends[i] - start)
        state.columns[column, COLUMN_KIND] = kinds[i]
        state.columns[column, COLUMN_KNOWN] = 1
        start = ends[i]


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
    add_columns(scratch.state, table, scratch.keep(packed.names), packed.ends, packed.kinds)


def _pack(schema: TableSchema) -> PackedSchema:
    names = [name.encode() for name in schema.columns if name != TIME_COLUMN]
    kinds = [CODES[kind] for name, kind in schema.columns.items() if name != TIME_COLUMN]
    ends = np.cumsum([len(name) for name in names], dtype=np.int64)
    return PackedSchema(schema, b"".join(names), ends, np.array(kinds, np.int64))
