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

from headrace.wal.lp_kinds import BOOLEAN, DONE, FLOAT, GROW, INTEGER, STRING, UINTEGER
from headrace.wal.lp_line import boolean, read_line, scale
from headrace.wal.lp_names import NONE, find_series
from headrace.wal.lp_numbers import LONG_FLOAT, digits, number
from headrace.wal.lp_state import (
    CELL_COUNT,
    CHECK_UTF8,
    COLUMN_BYTES,
    DEFAULT_TIME,
    DENSE_CELLS,
    DENSE_LIMIT,
    LAST_SERIES,
    LONG_CELL,
    LONG_END,
    LONG_FLOAT_COUNT,
    LONG_TEXT,
    MAX_LINE_COLUMNS,
    NEED,
    NEED_BYTES,
    NODE_CHILD,
    NODE_COLUMN,
    NODE_KEY,
    NODE_KIND,
    NODE_LENGTH,
    NODE_NEXT,
    NODE_ROWS,
    NODE_SIBLING,
    NODE_WORD,
    NODE_WORD_MASK,
    POSITION,
    RECORD_HEADER,
    RECORD_NODE,
    RECORD_SERIES,
    RECORD_TIME,
    ROW_COUNT,
    SEED,
    SERIES_GOOD,
    SERIES_KEY,
    SERIES_LENGTH,
    SERIES_NEXT,
    SERIES_ROOT,
    SERIES_ROWS,
    SERIES_TABLE,
    STATE,
    TABLE_ROWS,
    TABLE_WIDTH,
    UNIT,
    State,
    Words,
)
from headrace.wal.lp_tokens import STRING_LIMIT
from headrace.wal.lp_words import (
    BACKSLASHES,
    HASH_KEY,
    LENGTH_KEY,
    QUOTES,
    compiled,
    control_bytes,
    every_byte,
    first_bytes,
    hashed,
    kernel,
    load8,
    load64,
    mixed,
    same,
    trailing_zeros,
    zero_bytes,
)
from numba import types

_TAB, _NEWLINE, _RETURN, _SPACE, _QUOTE, _HASH, _COMMA, _BACKSLASH, _MINUS = b'\t\n\r "#,\\-'
_NEWLINES: Final = every_byte(_NEWLINE)
_ALTERNATIVES: Final = 8  # keys tried where the expected one is not, before the line goes the general way


@compiled
def next_newline(at: int, end: int) -> int:
    while at < end and load8(at) != _NEWLINE:
        at += 1
    return at


@compiled
def seen_series(state: State, line: int, end: int) -> int:
    """The series of the line at ``line`` if there was a line of it before; NONE otherwise."""
    hash_ = state.control[SEED]
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
    elif stop == _BACKSLASH:
        while key_end < end:
            stop = load8(key_end)
            if stop <= _SPACE:
                break
            key_end += 2 if stop == _BACKSLASH else 1
        if key_end >= end or stop != _SPACE:
            return NONE
        hash_ = hashed(line, key_end - line, state.control[SEED])
    else:
        return NONE
    return find_series(state, line, key_end - line, hash_)


@compiled
def alternative(nodes: Words, parent: int, at: int) -> int:
    """The child of ``parent`` whose key stands at ``at``, among the newest; 0 if none does."""
    child = nodes[parent, NODE_CHILD]
    for _ in range(_ALTERNATIVES):
        if child == 0 or has_key(nodes, child, at):
            return child
        child = nodes[child, NODE_SIBLING]
    return 0


@compiled
def has_key(nodes: Words, node: int, at: int) -> bool:
    if (load64(at) ^ nodes[node, NODE_WORD]) & nodes[node, NODE_WORD_MASK] != 0:
        return False
    length = nodes[node, NODE_LENGTH]
    return length <= 8 or same(at + 8, nodes[node, NODE_KEY] + 8, length - 8)


@compiled
def plain_string_end(at: int, end: int) -> tuple[int, int]:
    """The closing quote of the string at ``at`` and its number of escapes; 0 if the string has to be read the long way."""
    escapes = 0
    while at < end:
        word = load64(at)
        stops = zero_bytes(word ^ QUOTES) | zero_bytes(word ^ BACKSLASHES) | zero_bytes(word ^ _NEWLINES)
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
def fast_line(
    control: Words,
    nodes: Words,
    series: Words,
    tables: Words,
    columns: Words,
    cells: Words,
    long_floats: Words,
    state: State,
    line: int,
    end: int,
    unit: int,
) -> int:
    """Take the line at ``line``; gives the start of the next one, or 0 if the line is not for this loop."""
    last = control[LAST_SERIES]
    row = series[last, SERIES_NEXT]
    length = series[row, SERIES_LENGTH]
    at = line + length
    if row == 0 or at >= end or load8(at) != _SPACE or not same(line, series[row, SERIES_KEY], length):
        row = seen_series(state, line, end)
        if row == NONE:
            return 0
        series[last, SERIES_NEXT] = row
        at = line + series[row, SERIES_LENGTH]
    if series[row, SERIES_GOOD] == 0:
        return 0
    at += 1
    start = control[CELL_COUNT]
    cell = start + RECORD_HEADER
    long_count = control[LONG_FLOAT_COUNT]
    node = series[row, SERIES_ROOT]
    while True:
        child = nodes[node, NODE_NEXT]
        if not has_key(nodes, child, at):
            child = alternative(nodes, node, at)
            if child == 0:
                return 0
            nodes[node, NODE_NEXT] = child
        at += nodes[child, NODE_LENGTH]
        node = child
        expected = nodes[node, NODE_KIND]
        if expected == INTEGER:
            negative = load8(at) == _MINUS
            if negative:
                at += 1
            count, value = digits(at)
            at += count
            if count == 0 or count > 18 or load8(at) != 105:  # i
                return 0
            at += 1
            cells[cell] = -value if negative else value
            cell += 1
        elif expected == FLOAT:
            kind, bits, after = number(at)
            if kind == LONG_FLOAT:
                long_floats[long_count, LONG_CELL] = cell
                long_floats[long_count, LONG_TEXT] = at
                long_floats[long_count, LONG_END] = after
                long_count += 1
            elif kind != FLOAT:
                return 0
            cells[cell] = bits
            cell += 1
            at = after
        elif expected == STRING:
            if load8(at) != _QUOTE:
                return 0
            closing, escapes = plain_string_end(at + 1, end)
            if closing == 0 or closing - at > STRING_LIMIT:
                return 0
            cells[cell] = at + 1
            cells[cell + 1] = (closing - at - 1) | (escapes << 32)
            # Too much if the line fails further on: it only sizes a buffer.
            columns[nodes[node, NODE_COLUMN], COLUMN_BYTES] += closing - at - 1 - escapes
            cell += 2
            at = closing + 1
        elif expected == BOOLEAN:
            truth, count = boolean(at)
            if count == 0:
                return 0
            cells[cell] = truth
            cell += 1
            at += count
        else:
            kind, bits, after = number(at)
            if kind != UINTEGER:
                return 0
            cells[cell] = bits
            cell += 1
            at = after
        char = load8(at)
        if char != _COMMA:
            break
        at += 1
    time = control[DEFAULT_TIME]
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
        if unit == 1:
            time = -value if negative else value
        else:
            good, time = scale(unit, -value if negative else value)
            if not good:
                return 0
        char = load8(at)
    if char == _RETURN:
        at += 1
        char = load8(at)
    if char != _NEWLINE:
        return 0
    table = series[row, SERIES_TABLE]
    dense = control[DENSE_CELLS] + tables[table, TABLE_WIDTH]
    if dense > control[DENSE_LIMIT]:
        return 0
    control[DENSE_CELLS] = dense
    tables[table, TABLE_ROWS] += 1
    cells[start + RECORD_SERIES] = row
    cells[start + RECORD_NODE] = node
    cells[start + RECORD_TIME] = time
    nodes[node, NODE_ROWS] += 1
    series[row, SERIES_ROWS] += 1
    control[CELL_COUNT] = cell
    control[LONG_FLOAT_COUNT] = long_count
    control[ROW_COUNT] += 1
    control[LAST_SERIES] = row
    return at + 1


@kernel(types.int64(STATE, types.int64, types.int64, types.boolean))
def scan(state: State, position: int, end: int, final: bool) -> int:
    """Take or refuse the lines from ``position`` on; gives the reason to stop, the place is in ``control``.

    The text ends with a newline: before ``end``, or, if it is the ``final`` part of the body, at
    ``end``. Another ``PADDING`` bytes behind ``end`` must be readable.
    """
    control = state.control
    nodes, series, tables, columns = state.nodes, state.series, state.tables, state.columns
    cells, long_floats = state.cells, state.long_floats
    unit = control[UNIT]
    cell_limit = len(cells) - RECORD_HEADER - 2 * MAX_LINE_COLUMNS
    long_limit = len(long_floats) - MAX_LINE_COLUMNS
    only_general = control[CHECK_UTF8] != 0
    while position < end:
        char = load8(position)
        if char <= _HASH:
            if char in (_SPACE, _TAB, _NEWLINE):
                position += 1
                continue
            if char == _HASH:
                position = next_newline(position, end)
                continue
        if control[CELL_COUNT] > cell_limit or control[LONG_FLOAT_COUNT] > long_limit:
            control[NEED] = 0
            control[NEED_BYTES] = 0
            control[POSITION] = position
            return GROW
        following = (
            0
            if only_general
            else fast_line(control, nodes, series, tables, columns, cells, long_floats, state, position, end, unit)
        )
        if following == 0:
            reason, following = read_line(state, position, end, final)
            if reason != DONE:
                control[POSITION] = position
                return reason
        position = following
    control[POSITION] = position
    return DONE
