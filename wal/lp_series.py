"""Series that were not seen before but are made of what was: a known table, its tags, plain values.

Bodies of many series spend most of their time here, so tags are read like fields are: the key that
came next the last time is expected, and only the value is looked at. Anything else is left to
``lp_line``.
"""

from __future__ import annotations

from typing import Final

from headrace.wal.lp_layout import (
    LAST_SERIES,
    NODE_COLUMN,
    NODE_LENGTH,
    NODE_NEXT,
    NODE_SIZE,
    NODES,
    PAIR_CODE,
    PAIR_COLUMN,
    PAIR_COUNT,
    PAIR_ROOM,
    SEED,
    SERIES_COUNT,
    SERIES_GOOD,
    SERIES_HASH,
    SERIES_INDEX,
    SERIES_KEY,
    SERIES_LENGTH,
    SERIES_MASK,
    SERIES_NEXT,
    SERIES_ROOM,
    SERIES_ROOT,
    SERIES_ROWS,
    SERIES_TABLE,
    SERIES_TAG_COUNT,
    SERIES_TAGS,
    TABLE_RAW,
    TABLE_RAW_LENGTH,
    TABLE_ROOT,
    TABLE_TAG_ROOT,
    VALUE_COUNT,
    VALUE_MASK,
    VALUE_ROOM,
    pair_at,
    place,
    series_at,
    table_at,
)
from headrace.wal.lp_names import NONE, code_of, find_table
from headrace.wal.lp_paths import alternative, has_key
from headrace.wal.lp_words import (
    BACKSLASHES,
    COMMAS,
    compiled,
    control_bytes,
    get,
    hashed,
    load8,
    load64,
    put,
    same,
    trailing_zeros,
    zero_bytes,
)

MOST_TAGS: Final = 64
_SPACE, _COMMA = b" ,"
_NODE: Final = 8 * NODE_SIZE


@compiled
def add_series(state: int, table: int, key: int, length: int, hash_: int, first: int, tags: int) -> int:
    """Enter a series whose ``tags`` pairs, starting with ``first``, have been entered."""
    row = get(state, SERIES_COUNT)
    put(state, SERIES_COUNT, row + 1)
    series = series_at(state, row)
    put(series, SERIES_KEY, key)
    put(series, SERIES_LENGTH, length)
    put(series, SERIES_NEXT, 0)
    put(series, SERIES_GOOD, 0)
    put(series, SERIES_ROOT, get(table_at(state, table), TABLE_ROOT))
    put(series, SERIES_ROWS, 0)
    put(series, SERIES_TABLE, table)
    put(series, SERIES_HASH, hash_)
    put(series, SERIES_TAGS, first)
    put(series, SERIES_TAG_COUNT, tags)
    place(get(state, SERIES_INDEX), get(state, SERIES_MASK), hash_, row)
    return row


@compiled
def plain_end(at: int) -> int:
    """The first comma, space, control character or backslash from ``at`` on."""
    while True:
        word = load64(at)
        stops = control_bytes(word) | zero_bytes(word ^ COMMAS) | zero_bytes(word ^ BACKSLASHES)
        if stops != 0:
            return at + (trailing_zeros(stops) >> 3)
        at += 8


@compiled
def is_name_end(char: int) -> bool:
    return char in (_COMMA, _SPACE)


@compiled
def table_of(state: int, line: int, end: int) -> tuple[int, int]:
    """The known table of the series from ``line`` to ``end``, most likely the last line's, and where its name ends."""
    last = get(series_at(state, get(state, LAST_SERIES)), SERIES_TABLE)
    length = get(table_at(state, last), TABLE_RAW_LENGTH)
    after = line + length
    if after <= end and is_name_end(load8(after)) and same(line, get(table_at(state, last), TABLE_RAW), length):
        return last, after
    after = plain_end(line)
    if after > end or not is_name_end(load8(after)):
        return NONE, after
    return find_table(state, line, after - line, hashed(line, after - line, get(state, SEED))), after


@compiled
def familiar_series(state: int, line: int, end: int, hash_: int) -> int:
    """Enter the series from ``line`` to the space at ``end``; NONE if anything about it is out of the ordinary."""
    values = get(state, VALUE_COUNT) + MOST_TAGS
    if (
        get(state, LAST_SERIES) == 0
        or get(state, PAIR_COUNT) + MOST_TAGS > get(state, PAIR_ROOM)
        or values > get(state, VALUE_ROOM)
        or 2 * values > get(state, VALUE_MASK)
        or get(state, SERIES_COUNT) >= get(state, SERIES_ROOM)
        or 2 * (get(state, SERIES_COUNT) + 1) > get(state, SERIES_MASK)
    ):
        return NONE
    table, at = table_of(state, line, end)
    if table == NONE:
        return NONE
    nodes = get(state, NODES)
    node = get(table_at(state, table), TABLE_TAG_ROOT)
    first = get(state, PAIR_COUNT)
    tags = 0
    while at < end:
        at += 1
        child = get(nodes + node * _NODE, NODE_NEXT)
        if not has_key(nodes + child * _NODE, at):
            child = alternative(nodes, node, at)
            if child == 0:
                return NONE
            put(nodes + node * _NODE, NODE_NEXT, child)
        node = child
        of_node = nodes + node * _NODE
        start = at + get(of_node, NODE_LENGTH)
        at = plain_end(start)
        if at == start or at > end or (at < end and load8(at) != _COMMA) or tags == MOST_TAGS:
            return NONE
        pair = pair_at(state, first + tags)
        put(pair, PAIR_COLUMN, get(of_node, NODE_COLUMN))
        put(pair, PAIR_CODE, code_of(state, get(of_node, NODE_COLUMN), start, at - start))
        tags += 1
    put(state, PAIR_COUNT, first + tags)
    row = add_series(state, table, line, end - line, hash_, first, tags)
    # Each tag is on a path that a good line has taken: nothing about it is left to check.
    put(series_at(state, row), SERIES_GOOD, 1)
    return row
