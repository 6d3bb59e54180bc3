"""One line, the general way: the whole grammar, every check, in the order that decides which error is reported.

The line is read to its end before anything is looked up, so that a malformed line leaves no trace;
then it is checked against what the catalog and the good lines before it have settled; only then
does it settle anything itself.
"""

from __future__ import annotations

from typing import Final

from headrace.wal.lp_checks import check
from headrace.wal.lp_grammar import read_fields, read_series, read_time, refuse, skip_spaces
from headrace.wal.lp_kinds import (
    DONE,
    GROW,
    INCOMPLETE,
    INVALID_UTF8,
    LOOK_UP,
    TIME_OUT_OF_RANGE,
    TOO_MANY_COLUMNS,
    TOO_MANY_TABLES,
    TOO_SPARSE,
)
from headrace.wal.lp_layout import (
    ARENA,
    ARENA_END,
    CELL_COUNT,
    CELL_ROOM,
    CHECK_UTF8,
    COLUMN_COUNT,
    COLUMN_MASK,
    COLUMN_ROOM,
    DEFAULT_TIME,
    DENSE_CELLS,
    DENSE_LIMIT,
    FIELD_COLUMN,
    FIELD_ESCAPED,
    FIELD_KEY,
    FIELD_KEY_END,
    LONG_FLOAT_COUNT,
    LONG_FLOAT_ROOM,
    MAX_COLUMNS,
    MAX_LINE_COLUMNS,
    MAX_TABLES,
    NEED,
    NEED_BYTES,
    NODE_COUNT,
    NODE_MASK,
    NODE_ROOM,
    PAIR_CODE,
    PAIR_COLUMN,
    PAIR_COUNT,
    PAIR_ROOM,
    RECORD_HEADER,
    SEED,
    SERIES_COUNT,
    SERIES_GOOD,
    SERIES_MASK,
    SERIES_ROOM,
    SERIES_ROOT,
    SERIES_TABLE,
    TABLE_COUNT,
    TABLE_MASK,
    TABLE_ROOM,
    TABLE_ROWS,
    TABLE_WIDTH,
    UNIT,
    USED_COUNT,
    VALUE_COUNT,
    VALUE_MASK,
    VALUE_ROOM,
    field_at,
    pair_at,
    series_at,
    table_at,
)
from headrace.wal.lp_names import NONE, add_table, code_of, column_of, find_series, find_table
from headrace.wal.lp_records import follow, settle_fields, settle_series, write_record
from headrace.wal.lp_series import add_series, familiar_series
from headrace.wal.lp_tokens import ESCAPED, KEY, MEASUREMENT, PLAIN, TAG_VALUE, is_utf8, line_end, resolve, token
from headrace.wal.lp_words import add, compiled, get, hashed, load8, put

_RETURN: Final = ord("\r")
_MAX: Final = (1 << 63) - 1


@compiled
def scale(unit: int, value: int) -> tuple[bool, int]:
    """A timestamp in nanoseconds, and whether it is in range. Unit 0 guesses the unit as the peer does."""
    if unit == 0:
        magnitude = abs(value)
        if magnitude < 0 or magnitude >= 5_000_000_000_000_000:  # below 0: the absolute value wrapped
            return True, value
        unit = 1_000
        if magnitude < 5_000_000_000:
            unit = 1_000_000_000
        elif magnitude < 5_000_000_000_000:
            unit = 1_000_000
    if unit == 1:
        return True, value
    if value > _MAX // unit or value < -(_MAX // unit):
        return False, 0
    return True, value * unit


@compiled
def has_room(state: int, columns: int, length: int) -> bool:
    """Whether a line of so many tags and fields, and so many bytes, fits whatever it adds."""
    put(state, NEED, columns)
    put(state, NEED_BYTES, length)
    return (
        get(state, TABLE_COUNT) + 1 <= get(state, TABLE_ROOM)
        and 2 * (get(state, TABLE_COUNT) + 1) <= get(state, TABLE_MASK)
        and get(state, COLUMN_COUNT) + columns <= get(state, COLUMN_ROOM)
        and 2 * (get(state, COLUMN_COUNT) + columns) <= get(state, COLUMN_MASK)
        and get(state, NODE_COUNT) + columns + 2 <= get(state, NODE_ROOM)
        and 2 * (get(state, NODE_COUNT) + columns + 2) <= get(state, NODE_MASK)
        and get(state, SERIES_COUNT) + 1 <= get(state, SERIES_ROOM)
        and 2 * (get(state, SERIES_COUNT) + 1) <= get(state, SERIES_MASK)
        and get(state, PAIR_COUNT) + columns <= get(state, PAIR_ROOM)
        and get(state, VALUE_COUNT) + columns <= get(state, VALUE_ROOM)
        and 2 * (get(state, VALUE_COUNT) + columns) <= get(state, VALUE_MASK)
        and get(state, CELL_COUNT) + RECORD_HEADER + 2 * MAX_LINE_COLUMNS <= get(state, CELL_ROOM)
        and get(state, LONG_FLOAT_COUNT) + MAX_LINE_COLUMNS <= get(state, LONG_FLOAT_ROOM)
        and get(state, ARENA) + length <= get(state, ARENA_END)
    )


@compiled
def resolved(state: int, at: int, end: int, found: int, kind: int) -> tuple[int, int]:
    """A token's text with its escapes resolved: address and length."""
    if found != ESCAPED:
        return at, end - at
    target = get(state, ARENA)
    length = resolve(at, end, kind, target)
    add(state, ARENA, length)
    return target, length


@compiled
def find_or_add_table(state: int, line: int, end: int) -> tuple[int, int]:
    """The table of the series from ``line`` to ``end``; LOOK_UP if it was added, NONE if there are too many."""
    after, found = token(line, end, MEASUREMENT)
    name, length = resolved(state, line, after, found, MEASUREMENT)
    hash_ = hashed(name, length, get(state, SEED))
    table = find_table(state, name, length, hash_)
    if table != NONE or get(state, TABLE_COUNT) >= MAX_TABLES:
        return DONE, table
    return LOOK_UP, add_table(state, name, length, hash_, line, after - line)


@compiled
def new_series(state: int, table: int, line: int, end: int, tags: int, hash_: int) -> int:
    """Enter the series whose key is the text from ``line`` to ``end``, and its tags."""
    at, _ = token(line, end, MEASUREMENT)
    first = get(state, PAIR_COUNT)
    for i in range(tags):
        start = at + 1
        at, found = token(start, end, KEY)
        name, length = resolved(state, start, at, found, KEY)
        column = column_of(state, table, name, length)
        start = at + 1
        at, found = token(start, end, TAG_VALUE)
        text, length = resolved(state, start, at, found, TAG_VALUE)
        put(pair_at(state, first + i), PAIR_COLUMN, column)
        put(pair_at(state, first + i), PAIR_CODE, code_of(state, column, text, length))
    put(state, PAIR_COUNT, first + tags)
    return add_series(state, table, line, end - line, hash_, first, tags)


@compiled
def resolve_columns(state: int, table: int, fields: int) -> None:
    """Find the fields' columns, or enter them."""
    for i in range(fields):
        field = field_at(state, i)
        found = ESCAPED if get(field, FIELD_ESCAPED) else PLAIN
        name, length = resolved(state, get(field, FIELD_KEY), get(field, FIELD_KEY_END), found, KEY)
        put(field, FIELD_COLUMN, column_of(state, table, name, length))


@compiled
def read_line(state: int, line: int, limit: int, final: bool) -> tuple[int, int]:
    """Take or refuse the line at ``line``; why to stop, if not DONE, and where the next line starts."""
    newline, ended = line_end(line, limit)
    if not ended and not final:
        return INCOMPLETE, line
    end = newline - 1 if newline > line and load8(newline - 1) == _RETURN else newline
    following = newline + 1
    if end == line:
        return DONE, following
    if get(state, CHECK_UTF8) and not is_utf8(line, end):
        refuse(state, INVALID_UTF8, line, end, line, end)
        return DONE, following
    series_end, tags = read_series(state, line, end)
    if series_end == 0:
        return DONE, following
    fields, at = read_fields(state, line, end, skip_spaces(series_end, end))
    if fields == 0:
        return DONE, following
    good, given, time, time_text, time_end = read_time(state, line, end, at)
    if not good:
        return DONE, following

    hash_ = hashed(line, series_end - line, get(state, SEED))
    series = find_series(state, line, series_end - line, hash_)
    if series == NONE:
        series = familiar_series(state, line, series_end, hash_)
    seen = False
    table = NONE
    unused = 0
    if series != NONE and get(series_at(state, series), SERIES_GOOD) != 0:
        table = get(series_at(state, series), SERIES_TABLE)
        seen = follow(state, get(series_at(state, series), SERIES_ROOT), fields)
    if not seen:
        if not has_room(state, tags + fields, end - line):
            return GROW, line
        if table == NONE:
            reason, table = find_or_add_table(state, line, series_end)
            if reason != DONE:
                return reason, line
            if table == NONE:
                refuse(state, TOO_MANY_TABLES, line, end, line, end)
                return DONE, following
        if series == NONE:
            series = new_series(state, table, line, series_end, tags, hash_)
        resolve_columns(state, table, fields)
        unused = check(state, line, end, series, fields)
        if unused < 0:
            return DONE, following
    if given:
        good, time = scale(get(state, UNIT), time)
        if not good:
            refuse(state, TIME_OUT_OF_RANGE, line, end, time_text, time_end)
            return DONE, following
    else:
        time = get(state, DEFAULT_TIME)
    if get(state, USED_COUNT) + unused > MAX_COLUMNS:
        refuse(state, TOO_MANY_COLUMNS, line, end, line, end)
        return DONE, following
    rows, width = get(table_at(state, table), TABLE_ROWS), get(table_at(state, table), TABLE_WIDTH)
    dense = get(state, DENSE_CELLS) + width + unused + unused * rows
    if dense > get(state, DENSE_LIMIT):
        refuse(state, TOO_SPARSE, line, end, line, end)
        return DONE, following
    put(state, DENSE_CELLS, dense)
    if not seen:
        if get(series_at(state, series), SERIES_GOOD) == 0:
            settle_series(state, table, series)
        settle_fields(state, table, fields)
    write_record(state, table, series, fields, time)
    return DONE, following
