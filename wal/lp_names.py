"""Finding tables, columns, tag values, series and field paths by name, and adding those that are new.

Every index is open addressing with linear probing over rows of ``lp_state``; a hit is a hit only
when the names are equal byte for byte. The caller has made sure that there is room.
"""

from __future__ import annotations

from typing import Final

from headrace.wal.lp_kinds import STRING
from headrace.wal.lp_state import (
    COLUMN_BYTES,
    COLUMN_COUNT,
    COLUMN_HASH,
    COLUMN_LENGTH,
    COLUMN_MASK,
    COLUMN_NAME,
    COLUMN_TABLE,
    COLUMN_VALUES,
    NODE_CHILD,
    NODE_COLUMN,
    NODE_COUNT,
    NODE_DEPTH,
    NODE_END,
    NODE_HASH,
    NODE_KEY,
    NODE_KIND,
    NODE_LENGTH,
    NODE_MASK,
    NODE_NEXT,
    NODE_PARENT,
    NODE_SIBLING,
    NODE_SLOT,
    NODE_WORD,
    NODE_WORD_MASK,
    RECORD_HEADER,
    SEED,
    SERIES_HASH,
    SERIES_KEY,
    SERIES_LENGTH,
    SERIES_MASK,
    TABLE_COUNT,
    TABLE_HASH,
    TABLE_LENGTH,
    TABLE_MASK,
    TABLE_NAME,
    TABLE_ROOT,
    VALUE_CODE,
    VALUE_COLUMN,
    VALUE_COUNT,
    VALUE_HASH,
    VALUE_LENGTH,
    VALUE_MASK,
    VALUE_TEXT,
    State,
    place,
)
from headrace.wal.lp_words import HASH_KEY, compiled, first_bytes, hashed, load8, load64, mixed, same

NONE: Final = -1
_NEWLINE: Final = 10


@compiled
def find_table(state: State, name: int, length: int, hash_: int) -> int:
    mask = state.control[TABLE_MASK]
    at = hash_ & mask
    while state.table_index[at] != 0:
        row = state.table_index[at] - 1
        table = state.tables[row]
        if table[TABLE_HASH] == hash_ and table[TABLE_LENGTH] == length and same(table[TABLE_NAME], name, length):
            return row
        at = (at + 1) & mask
    return NONE


@compiled
def add_table(state: State, name: int, length: int, hash_: int) -> int:
    """A new table and the root of its field paths."""
    root = state.control[NODE_COUNT]
    state.control[NODE_COUNT] += 1
    state.nodes[root] = 0
    state.nodes[root, NODE_END] = RECORD_HEADER
    row = state.control[TABLE_COUNT]
    state.control[TABLE_COUNT] += 1
    state.tables[row] = 0
    state.tables[row, TABLE_NAME] = name
    state.tables[row, TABLE_LENGTH] = length
    state.tables[row, TABLE_HASH] = hash_
    state.tables[row, TABLE_ROOT] = root
    place(state.table_index, state.control[TABLE_MASK], hash_, row)
    return row


@compiled
def column_of(state: State, table: int, name: int, length: int) -> int:
    """The column of that name, added without a kind if it is new."""
    hash_ = mixed(hashed(name, length, state.control[SEED]) + table, HASH_KEY)
    mask = state.control[COLUMN_MASK]
    at = hash_ & mask
    while state.column_index[at] != 0:
        row = state.column_index[at] - 1
        if (
            state.columns[row, COLUMN_HASH] == hash_
            and state.columns[row, COLUMN_TABLE] == table
            and state.columns[row, COLUMN_LENGTH] == length
            and same(state.columns[row, COLUMN_NAME], name, length)
        ):
            return row
        at = (at + 1) & mask
    row = state.control[COLUMN_COUNT]
    state.control[COLUMN_COUNT] += 1
    state.columns[row] = 0
    state.columns[row, COLUMN_TABLE] = table
    state.columns[row, COLUMN_NAME] = name
    state.columns[row, COLUMN_LENGTH] = length
    state.columns[row, COLUMN_HASH] = hash_
    state.column_index[at] = row + 1
    return row


@compiled
def code_of(state: State, column: int, text: int, length: int) -> int:
    """The place of a tag's value in its column's dictionary, added if it is new."""
    hash_ = mixed(hashed(text, length, state.control[SEED]) + column, HASH_KEY)
    mask = state.control[VALUE_MASK]
    at = hash_ & mask
    while state.value_index[at] != 0:
        row = state.value_index[at] - 1
        if (
            state.values[row, VALUE_HASH] == hash_
            and state.values[row, VALUE_COLUMN] == column
            and state.values[row, VALUE_LENGTH] == length
            and same(state.values[row, VALUE_TEXT], text, length)
        ):
            return state.values[row, VALUE_CODE]
        at = (at + 1) & mask
    row = state.control[VALUE_COUNT]
    state.control[VALUE_COUNT] += 1
    code = state.columns[column, COLUMN_VALUES]
    state.columns[column, COLUMN_VALUES] += 1
    state.columns[column, COLUMN_BYTES] += length
    state.values[row, VALUE_COLUMN] = column
    state.values[row, VALUE_TEXT] = text
    state.values[row, VALUE_LENGTH] = length
    state.values[row, VALUE_HASH] = hash_
    state.values[row, VALUE_CODE] = code
    state.value_index[at] = row + 1
    return code


@compiled
def find_series(state: State, key: int, length: int, hash_: int) -> int:
    mask = state.control[SERIES_MASK]
    at = hash_ & mask
    while state.series_index[at] != 0:
        row = state.series_index[at] - 1
        if (
            state.series[row, SERIES_HASH] == hash_
            and state.series[row, SERIES_LENGTH] == length
            and same(state.series[row, SERIES_KEY], key, length)
        ):
            return row
        at = (at + 1) & mask
    return NONE


@compiled
def child_for(state: State, parent: int, column: int, kind: int, key: int, length: int) -> int:
    """The node for a field after the path that ends in ``parent``, added if it is new.

    ``key`` is the field's key as it stands in the line, its equals sign included.
    """
    hash_ = mixed((parent << 32) ^ column ^ state.control[SEED], HASH_KEY) | 1
    mask = state.control[NODE_MASK]
    at = hash_ & mask
    while state.node_index[at] != 0:
        row = state.node_index[at] - 1
        if state.nodes[row, NODE_PARENT] == parent and state.nodes[row, NODE_COLUMN] == column:
            return row
        at = (at + 1) & mask
    row = state.control[NODE_COUNT]
    state.control[NODE_COUNT] += 1
    state.node_index[at] = row + 1
    node = state.nodes[row]
    node[:] = 0
    node[NODE_WORD_MASK] = first_bytes(length)
    node[NODE_WORD] = load64(key) & first_bytes(length)
    for i in range(length):
        if load8(key + i) == _NEWLINE:
            # The fast loop must not run over the end of the line: no text looks like this.
            node[NODE_WORD] = -1
            node[NODE_WORD_MASK] = -1
    node[NODE_LENGTH] = length
    node[NODE_KEY] = key
    node[NODE_KIND] = kind
    node[NODE_COLUMN] = column
    node[NODE_SIBLING] = state.nodes[parent, NODE_CHILD]
    node[NODE_PARENT] = parent
    node[NODE_SLOT] = state.nodes[parent, NODE_END]
    node[NODE_END] = node[NODE_SLOT] + (2 if kind == STRING else 1)
    node[NODE_DEPTH] = state.nodes[parent, NODE_DEPTH] + 1
    node[NODE_HASH] = hash_
    state.nodes[parent, NODE_CHILD] = row
    state.nodes[parent, NODE_NEXT] = row
    return row
