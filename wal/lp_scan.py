"""The fast loop: lines that look like lines seen before.

Two guesses make it fast. A line's series (the bytes before its first unescaped space) is most often
the one that followed the previous line's series the last time: one comparison finds it, and its tags
are not looked at again. And a line's field keys are most often those of the line before it in the
table: each is compared as a word or two, and its value is parsed in place, straight into the row's
record. A wrong guess costs a look into a hash index or along a short list of alternatives. Whatever
is out of the ordinary (a new series or key, an escape, an error) goes to ``lp_line`` as a whole line,
so this loop only has to be right about the lines it takes, never complete.
"""

from __future__ import annotations

from typing import Final

from headrace.wal.lp_grammar import boolean
from headrace.wal.lp_kinds import BOOLEAN, DONE, FLOAT, GROW, INTEGER, STRING, UINTEGER
from headrace.wal.lp_layout import (
    CELL_COUNT,
    CELL_ROOM,
    CELLS,
    CHECK_UTF8,
    COLUMN_BYTES,
    DEFAULT_TIME,
    DENSE_CELLS,
    DENSE_LIMIT,
    LAST_SERIES,
    LONG_CELL,
    LONG_END,
    LONG_FLOAT_COUNT,
    LONG_FLOAT_ROOM,
    LONG_TEXT,
    MAX_LINE_COLUMNS,
    NEED,
    NEED_BYTES,
    NODE_COLUMN,
    NODE_KIND,
    NODE_LENGTH,
    NODE_NEXT,
    NODE_ROWS,
    NODE_SIZE,
    NODES,
    POSITION,
    RECORD_HEADER,
    RECORD_NODE,
    RECORD_SERIES,
    RECORD_TIME,
    ROW_COUNT,
    SEED,
    SERIES,
    SERIES_GOOD,
    SERIES_KEY,
    SERIES_LENGTH,
    SERIES_NEXT,
    SERIES_ROOT,
    SERIES_ROWS,
    SERIES_SIZE,
    SERIES_TABLE,
    TABLE_ROWS,
    TABLE_WIDTH,
    UNIT,
    column_at,
    long_float_at,
    table_at,
)
from headrace.wal.lp_line import read_line, scale
from headrace.wal.lp_names import NONE, find_series
from headrace.wal.lp_numbers import LONG_FLOAT, digits, number
from headrace.wal.lp_paths import alternative, has_key
from headrace.wal.lp_series import familiar_series
from headrace.wal.lp_tokens import STRING_LIMIT
from headrace.wal.lp_words import (
    BACKSLASHES,
    HASH_KEY,
    LENGTH_KEY,
    NEWLINES,
    QUOTES,
    add,
    compiled,
    control_bytes,
    first_bytes,
    get,
    hashed,
    kernel,
    load8,
    load64,
    mixed,
    put,
    same,
    store64,
    trailing_zeros,
    zero_bytes,
)
from numba import types

_TAB, _NEWLINE, _RETURN, _SPACE, _QUOTE, _HASH, _COMMA, _BACKSLASH, _MINUS = b'\t\n\r "#,\\-'
_INTEGER_MARK: Final = ord("i")
_NODE: Final = 8 * NODE_SIZE
_SERIES: Final = 8 * SERIES_SIZE


@compiled
def next_newline(at: int, end: int) -> int:
    while at < end and load8(at) != _NEWLINE:
        at += 1
    return at


@compiled
def series_of(state: int, line: int, end: int) -> int:
    """The series of the line at ``line``, entered if it is new but familiar; NONE if it is for the general path."""
    hash_ = get(state, SEED)
    at = line
    while True:
        word = load64(at)
        stops = control_bytes(word) | zero_bytes(word ^ BACKSLASHES)
        if stops != 0:
            break
        hash_ = mixed(word ^ hash_, HASH_KEY)
        at += 8
    rest = trailing_zeros(stops) >> 3
    key_end = at + rest
    stop = load8(key_end)
    if stop == _SPACE:
        hash_ = mixed((word & first_bytes(rest)) ^ hash_, HASH_KEY)
        hash_ = mixed(hash_ ^ (key_end - line), LENGTH_KEY)
        row = find_series(state, line, key_end - line, hash_)
        return familiar_series(state, line, key_end, hash_) if row == NONE else row
    if stop != _BACKSLASH:
        return NONE
    while key_end < end:
        stop = load8(key_end)
        if stop <= _SPACE:
            break
        key_end += 2 if stop == _BACKSLASH else 1
    if key_end >= end or stop != _SPACE:
        return NONE
    return find_series(state, line, key_end - line, hashed(line, key_end - line, get(state, SEED)))


@compiled
def plain_string_end(at: int, end: int) -> tuple[int, int]:
    """The closing quote of the string at ``at`` and its number of escapes; 0 if it has a newline or no end."""
    escapes = 0
    while at < end:
        word = load64(at)
        stops = zero_bytes(word ^ QUOTES) | zero_bytes(word ^ BACKSLASHES) | zero_bytes(word ^ NEWLINES)
        if stops == 0:
            at += 8
            continue
        at += trailing_zeros(stops) >> 3
        char = load8(at)
        if char == _QUOTE:
            return at if at < end else 0, escapes
        if char == _NEWLINE:
            return 0, 0
        follower = load8(at + 1)
        if follower in (_QUOTE, _BACKSLASH):
            escapes += 1
        elif follower == _NEWLINE:
            return 0, 0
        at += 2
    return 0, 0


@compiled
def fast_line(state: int, nodes: int, series: int, cells: int, line: int, end: int, unit: int) -> int:
    """Take the line at ``line``; gives the start of the next one, or 0 if the line is not for this loop.

    ``nodes``, ``series`` and ``cells`` are the addresses of those arrays.
    """
    last = series + get(state, LAST_SERIES) * _SERIES
    row = get(last, SERIES_NEXT)
    of_row = series + row * _SERIES
    length = get(of_row, SERIES_LENGTH)
    at = line + length
    if row == 0 or at >= end or load8(at) != _SPACE or not same(line, get(of_row, SERIES_KEY), length):
        row = series_of(state, line, end)
        if row == NONE:
            return 0
        put(last, SERIES_NEXT, row)
        of_row = series + row * _SERIES
        at = line + get(of_row, SERIES_LENGTH)
    if get(of_row, SERIES_GOOD) == 0:
        return 0
    at += 1
    start = get(state, CELL_COUNT)
    cell = cells + 8 * (start + RECORD_HEADER)
    long_count = get(state, LONG_FLOAT_COUNT)
    node = get(of_row, SERIES_ROOT)
    while True:
        child = get(nodes + node * _NODE, NODE_NEXT)
        of_node = nodes + child * _NODE
        if not has_key(of_node, at):
            child = alternative(nodes, node, at)
            if child == 0:
                return 0
            put(nodes + node * _NODE, NODE_NEXT, child)
            of_node = nodes + child * _NODE
        node = child
        at += get(of_node, NODE_LENGTH)
        expected = get(of_node, NODE_KIND)
        if expected == INTEGER:
            negative = load8(at) == _MINUS
            if negative:
                at += 1
            count, value = digits(at)
            at += count
            if count == 0 or count > 18 or load8(at) != _INTEGER_MARK:
                return 0
            at += 1
            store64(cell, -value if negative else value)
        elif expected == FLOAT:
            kind, bits, after = number(at)
            if kind == LONG_FLOAT:
                long_float = long_float_at(state, long_count)
                put(long_float, LONG_CELL, (cell - cells) >> 3)
                put(long_float, LONG_TEXT, at)
                put(long_float, LONG_END, after)
                long_count += 1
            elif kind != FLOAT:
                return 0
            store64(cell, bits)
            at = after
        elif expected == STRING:
            if load8(at) != _QUOTE:
                return 0
            closing, escapes = plain_string_end(at + 1, end)
            if closing == 0 or closing - at > STRING_LIMIT:
                return 0
            store64(cell, at + 1)
            cell += 8
            store64(cell, (closing - at - 1) | (escapes << 32))
            # Too much if the line fails further on: it only sizes a buffer.
            add(column_at(state, get(of_node, NODE_COLUMN)), COLUMN_BYTES, closing - at - 1 - escapes)
            at = closing + 1
        elif expected == BOOLEAN:
            truth, count = boolean(at)
            if count == 0:
                return 0
            store64(cell, truth)
            at += count
        else:
            kind, bits, after = number(at)
            if kind != UINTEGER:
                return 0
            store64(cell, bits)
            at = after
        cell += 8
        char = load8(at)
        if char != _COMMA:
            break
        at += 1
    time = get(state, DEFAULT_TIME)
    if char == _SPACE:
        at += 1
        while load8(at) == _SPACE:
            at += 1
        negative = load8(at) == _MINUS
        if negative:
            at += 1
        count, value = digits(at)
        if count == 0 or count > 19 or (count == 19 and value < 0):
            return 0
        at += count
        good, time = scale(unit, -value if negative else value)
        if not good:
            return 0
        char = load8(at)
    if char == _RETURN:
        at += 1
        char = load8(at)
    if char != _NEWLINE:
        return 0
    table = table_at(state, get(of_row, SERIES_TABLE))
    dense = get(state, DENSE_CELLS) + get(table, TABLE_WIDTH)
    if dense > get(state, DENSE_LIMIT):
        return 0
    put(state, DENSE_CELLS, dense)
    add(table, TABLE_ROWS, 1)
    record = cells + 8 * start
    put(record, RECORD_SERIES, row)
    put(record, RECORD_NODE, node)
    put(record, RECORD_TIME, time)
    add(nodes + node * _NODE, NODE_ROWS, 1)
    add(of_row, SERIES_ROWS, 1)
    put(state, CELL_COUNT, (cell - cells) >> 3)
    put(state, LONG_FLOAT_COUNT, long_count)
    add(state, ROW_COUNT, 1)
    put(state, LAST_SERIES, row)
    return at + 1


@kernel(types.int64(types.int64, types.int64, types.int64, types.boolean))
def scan(state: int, position: int, end: int, final: bool) -> int:
    """Take or refuse the lines from ``position`` on; gives the reason to stop, POSITION has the place.

    The text ends with a newline: before ``end``, or, if it is the ``final`` part of the body, at
    ``end``. Another ``PADDING`` bytes behind ``end`` must be readable.
    """
    nodes, series, cells = get(state, NODES), get(state, SERIES), get(state, CELLS)
    unit = get(state, UNIT)
    cell_limit = get(state, CELL_ROOM) - RECORD_HEADER - 2 * MAX_LINE_COLUMNS
    long_limit = get(state, LONG_FLOAT_ROOM) - MAX_LINE_COLUMNS
    only_general = get(state, CHECK_UTF8) != 0
    while position < end:
        char = load8(position)
        if char <= _HASH:
            if char == _SPACE or char == _TAB or char == _NEWLINE:  # noqa: SIM109 (a tuple is slower)
                position += 1
                continue
            if char == _HASH:
                position = next_newline(position, end)
                continue
        if get(state, CELL_COUNT) > cell_limit or get(state, LONG_FLOAT_COUNT) > long_limit:
            put(state, NEED, 0)
            put(state, NEED_BYTES, 0)
            put(state, POSITION, position)
            return GROW
        following = 0
        if not only_general:
            following = fast_line(state, nodes, series, cells, position, end, unit)
        if following == 0:
            reason, following = read_line(state, position, end, final)
            if reason != DONE:
                put(state, POSITION, position)
                return reason
        position = following
    put(state, POSITION, position)
    return DONE
