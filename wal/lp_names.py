"""Finding tables, columns, tag values, series and field paths by name, and adding those that are new.

Every index is open addressing with linear probing over rows of ``lp_layout``; a hit is a hit only
when the names are equal byte for byte. The caller has made sure that there is room.
"""

from __future__ import annotations

from typing import Final

from headrace.wal.lp_kinds import STRING
from headrace.wal.lp_layout import (
    COLUMN_BYTES,
    COLUMN_COUNT,
    COLUMN_HASH,
    COLUMN_INDEX,
    COLUMN_LENGTH,
    COLUMN_MASK,
    COLUMN_NAME,
    COLUMN_SIZE,
    COLUMN_TABLE,
    COLUMN_VALUES,
    NODE_CHILD,
    NODE_COLUMN,
    NODE_COUNT,
    NODE_DEPTH,
    NODE_END,
    NODE_HASH,
    NODE_INDEX,
    NODE_KEY,
    NODE_KIND,
    NODE_LENGTH,
    NODE_MASK,
    NODE_NEXT,
    NODE_PARENT,
    NODE_SIBLING,
    NODE_SIZE,
    NODE_SLOT,
    NODE_WORD,
    NODE_WORD_MASK,
    RECORD_HEADER,
    SEED,
    SERIES_HASH,
    SERIES_INDEX,
    SERIES_KEY,
    SERIES_LENGTH,
    SERIES_MASK,
    TABLE_COUNT,
    TABLE_HASH,
    TABLE_INDEX,
    TABLE_LENGTH,
    TABLE_MASK,
    TABLE_NAME,
    TABLE_RAW,
    TABLE_RAW_LENGTH,
    TABLE_ROOT,
    TABLE_SIZE,
    TABLE_TAG_ROOT,
    VALUE_CODE,
    VALUE_COLUMN,
    VALUE_COUNT,
    VALUE_HASH,
    VALUE_INDEX,
    VALUE_LENGTH,
    VALUE_MASK,
    VALUE_TEXT,
    column_at,
    node_at,
    place,
    series_at,
    table_at,
    value_at,
)
from headrace.wal.lp_words import (
    HASH_KEY,
    add,
    clear,
    compiled,
    first_bytes,
    get,
    hashed,
    load8,
    load64,
    mixed,
    put,
    same,
)

NONE: Final = -1
_NEWLINE: Final = 10


@compiled
def find_table(state: int, name: int, length: int, hash_: int) -> int:
    mask = get(state, TABLE_MASK)
    at = hash_ & mask
    while get(get(state, TABLE_INDEX), at) != 0:
        row = get(get(state, TABLE_INDEX), at) - 1
        table = table_at(state, row)
        if (
            get(table, TABLE_HASH) == hash_
            and get(table, TABLE_LENGTH) == length
            and same(get(table, TABLE_NAME), name, length)
        ):
            return row
        at = (at + 1) & mask
    return NONE


@compiled
def add_table(state: int, name: int, length: int, hash_: int, raw: int, raw_length: int) -> int:
    """A new table and the roots of its paths. ``raw`` is its name as it stands in the line."""
    root = get(state, NODE_COUNT)
    add(state, NODE_COUNT, 2)
    clear(node_at(state, root), 2 * 8 * NODE_SIZE)
    put(node_at(state, root), NODE_END, RECORD_HEADER)
    row = get(state, TABLE_COUNT)
    add(state, TABLE_COUNT, 1)
    table = table_at(state, row)
    clear(table, 8 * TABLE_SIZE)
    put(table, TABLE_NAME, name)
    put(table, TABLE_LENGTH, length)
    put(table, TABLE_HASH, hash_)
    put(table, TABLE_ROOT, root)
    put(table, TABLE_TAG_ROOT, root + 1)
    put(table, TABLE_RAW, raw)
    put(table, TABLE_RAW_LENGTH, raw_length)
    place(get(state, TABLE_INDEX), get(state, TABLE_MASK), hash_, row)
    return row


@compiled
def column_of(state: int, table: int, name: int, length: int) -> int:
    """The column of that name, added without a kind if it is new."""
    hash_ = mixed(hashed(name, length, get(state, SEED)) + table, HASH_KEY)
    mask = get(state, COLUMN_MASK)
    at = hash_ & mask
    while get(get(state, COLUMN_INDEX), at) != 0:
        row = get(get(state, COLUMN_INDEX), at) - 1
        if (
            get(column_at(state, row), COLUMN_HASH) == hash_
            and get(column_at(state, row), COLUMN_TABLE) == table
            and get(column_at(state, row), COLUMN_LENGTH) == length
            and same(get(column_at(state, row), COLUMN_NAME), name, length)
        ):
            return row
        at = (at + 1) & mask
    row = get(state, COLUMN_COUNT)
    add(state, COLUMN_COUNT, 1)
    clear(column_at(state, row), 8 * COLUMN_SIZE)
    put(column_at(state, row), COLUMN_TABLE, table)
    put(column_at(state, row), COLUMN_NAME, name)
    put(column_at(state, row), COLUMN_LENGTH, length)
    put(column_at(state, row), COLUMN_HASH, hash_)
    put(get(state, COLUMN_INDEX), at, row + 1)
    return row


@compiled
def code_of(state: int, column: int, text: int, length: int) -> int:
    """The place of a tag's value in its column's dictionary, added if it is new."""
    hash_ = mixed(hashed(text, length, get(state, SEED)) + column, HASH_KEY)
    mask = get(state, VALUE_MASK)
    at = hash_ & mask
    while get(get(state, VALUE_INDEX), at) != 0:
        row = get(get(state, VALUE_INDEX), at) - 1
        if (
            get(value_at(state, row), VALUE_HASH) == hash_
            and get(value_at(state, row), VALUE_COLUMN) == column
            and get(value_at(state, row), VALUE_LENGTH) == length
            and same(get(value_at(state, row), VALUE_TEXT), text, length)
        ):
            return get(value_at(state, row), VALUE_CODE)
        at = (at + 1) & mask
    row = get(state, VALUE_COUNT)
    add(state, VALUE_COUNT, 1)
    code = get(column_at(state, column), COLUMN_VALUES)
    add(column_at(state, column), COLUMN_VALUES, 1)
    add(column_at(state, column), COLUMN_BYTES, length)
    put(value_at(state, row), VALUE_COLUMN, column)
    put(value_at(state, row), VALUE_TEXT, text)
    put(value_at(state, row), VALUE_LENGTH, length)
    put(value_at(state, row), VALUE_HASH, hash_)
    put(value_at(state, row), VALUE_CODE, code)
    put(get(state, VALUE_INDEX), at, row + 1)
    return code


@compiled
def find_series(state: int, key: int, length: int, hash_: int) -> int:
    mask = get(state, SERIES_MASK)
    at = hash_ & mask
    while get(get(state, SERIES_INDEX), at) != 0:
        row = get(get(state, SERIES_INDEX), at) - 1
        if (
            get(series_at(state, row), SERIES_HASH) == hash_
            and get(series_at(state, row), SERIES_LENGTH) == length
            and same(get(series_at(state, row), SERIES_KEY), key, length)
        ):
            return row
        at = (at + 1) & mask
    return NONE


@compiled
def child_for(state: int, parent: int, column: int, kind: int, key: int, length: int) -> int:
    """The node for a field after the path that ends in ``parent``, added if it is new.

    ``key`` is the field's key as it stands in the line, its equals sign included.
    """
    hash_ = mixed((parent << 32) ^ column ^ get(state, SEED), HASH_KEY) | 1
    mask = get(state, NODE_MASK)
    at = hash_ & mask
    while get(get(state, NODE_INDEX), at) != 0:
        row = get(get(state, NODE_INDEX), at) - 1
        if get(node_at(state, row), NODE_PARENT) == parent and get(node_at(state, row), NODE_COLUMN) == column:
            return row
        at = (at + 1) & mask
    row = get(state, NODE_COUNT)
    add(state, NODE_COUNT, 1)
    put(get(state, NODE_INDEX), at, row + 1)
    node = node_at(state, row)
    clear(node, 8 * NODE_SIZE)
    put(node, NODE_WORD_MASK, first_bytes(length))
    put(node, NODE_WORD, load64(key) & first_bytes(length))
    for i in range(length):
        if load8(key + i) == _NEWLINE:
            # The fast loop must not run over the end of the line: no text looks like this.
            put(node, NODE_WORD, -1)
            put(node, NODE_WORD_MASK, -1)
    put(node, NODE_LENGTH, length)
    put(node, NODE_KEY, key)
    put(node, NODE_KIND, kind)
    put(node, NODE_COLUMN, column)
    put(node, NODE_SIBLING, get(node_at(state, parent), NODE_CHILD))
    put(node, NODE_PARENT, parent)
    put(node, NODE_SLOT, get(node_at(state, parent), NODE_END))
    put(node, NODE_END, get(node, NODE_SLOT) + (2 if kind == STRING else 1))
    put(node, NODE_DEPTH, get(node_at(state, parent), NODE_DEPTH) + 1)
    put(node, NODE_HASH, hash_)
    put(node_at(state, parent), NODE_CHILD, row)
    put(node_at(state, parent), NODE_NEXT, row)
    return row
