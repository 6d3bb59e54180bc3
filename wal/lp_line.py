"""One line, the general way: the whole grammar, every check, in the order that decides which error is reported.

The line is read to its end before anything is looked up, so that a malformed line leaves no trace;
then it is checked against what the catalog and the good lines before it have settled; only then
does it settle anything itself.
"""

from __future__ import annotations

from typing import Final

from headrace.wal.lp_grammar import read_fields, read_series, read_time, refuse, refuse_column, skip_spaces
from headrace.wal.lp_kinds import (
    DONE,
    DUPLICATE_FIELD,
    DUPLICATE_TAG,
    FLOAT,
    GROW,
    INCOMPLETE,
    INVALID_UTF8,
    LOOK_UP,
    RESERVED_COLUMN,
    STRING,
    TAG,
    TIME_OUT_OF_RANGE,
    TOO_MANY_COLUMNS,
    TOO_MANY_TABLES,
    TOO_SPARSE,
    TYPE_CONFLICT,
    UNSETTLED,
)
from headrace.wal.lp_layout import (
    ARENA,
    ARENA_END,
    CELL_COUNT,
    CELL_ROOM,
    CELLS,
    CHECK_UTF8,
    COLUMN_BYTES,
    COLUMN_COUNT,
    COLUMN_KIND,
    COLUMN_LENGTH,
    COLUMN_MARK,
    COLUMN_MASK,
    COLUMN_NAME,
    COLUMN_ROOM,
    COLUMN_USED,
    DEFAULT_TIME,
    DENSE_CELLS,
    DENSE_LIMIT,
    FIELD_COLUMN,
    FIELD_ESCAPED,
    FIELD_FIRST,
    FIELD_KEY,
    FIELD_KEY_END,
    FIELD_KIND,
    FIELD_NODE,
    FIELD_SECOND,
    LAST_SERIES,
    LINE_SERIAL,
    LONG_CELL,
    LONG_END,
    LONG_FLOAT_COUNT,
    LONG_FLOAT_ROOM,
    LONG_TEXT,
    MAX_COLUMNS,
    MAX_LINE_COLUMNS,
    MAX_TABLES,
    NEED,
    NEED_BYTES,
    NODE_COLUMN,
    NODE_COUNT,
    NODE_KIND,
    NODE_MASK,
    NODE_NEXT,
    NODE_ROOM,
    NODE_ROWS,
    NODES,
    PAIR_CODE,
    PAIR_COLUMN,
    PAIR_COUNT,
    PAIR_ROOM,
    RECORD_HEADER,
    RECORD_NODE,
    RECORD_SERIES,
    RECORD_TIME,
    ROW_COUNT,
    SEED,
    SERIES_COUNT,
    SERIES_GOOD,
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
    TABLE_COUNT,
    TABLE_MASK,
    TABLE_ROOM,
    TABLE_ROOT,
    TABLE_ROWS,
    TABLE_TAG_ROOT,
    TABLE_WIDTH,
    UNIT,
    USED,
    USED_COUNT,
    VALUE_COUNT,
    VALUE_MASK,
    VALUE_ROOM,
    column_at,
    field_at,
    long_float_at,
    node_at,
    pair_at,
    series_at,
    table_at,
)
from headrace.wal.lp_names import NONE, add_table, child_for, code_of, column_of, find_series, find_table
from headrace.wal.lp_paths import alternative, has_key
from headrace.wal.lp_series import add_series, familiar_series
from headrace.wal.lp_tokens import ESCAPED, KEY, MEASUREMENT, PLAIN, TAG_VALUE, is_utf8, line_end, resolve, token
from headrace.wal.lp_words import add, compiled, first_bytes, get, hashed, load8, load64, put, signed

_RETURN: Final = ord("\r")
_TIME_NAME: Final = signed(int.from_bytes(b"time", "little"))
_MAX: Final = (1 << 63) - 1
_LENGTH: Final = (1 << 32) - 1


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
def use(state: int, table: int, column: int, kind: int) -> None:
    """A good line has the column: settle its kind and, the first time, give it its place among the columns."""
    put(column_at(state, column), COLUMN_KIND, kind)
    if get(column_at(state, column), COLUMN_USED) == 0:
        put(column_at(state, column), COLUMN_USED, 1)
        put(get(state, USED), get(state, USED_COUNT), column)
        add(state, USED_COUNT, 1)
        add(table_at(state, table), TABLE_WIDTH, 1)


@compiled
def settle_series(state: int, table: int, series: int) -> None:
    """A good line has the series: its tags are tags, and others may follow the path of their keys."""
    of_series = series_at(state, series)
    key, first = get(of_series, SERIES_KEY), get(of_series, SERIES_TAGS)
    end = key + get(of_series, SERIES_LENGTH)
    node = get(table_at(state, table), TABLE_TAG_ROOT)
    at, _ = token(key, end, MEASUREMENT)
    for pair in range(first, first + get(of_series, SERIES_TAG_COUNT)):
        column = get(pair_at(state, pair), PAIR_COLUMN)
        use(state, table, column, TAG)
        start = at + 1
        at, _ = token(start, end, KEY)
        node = child_for(state, node, column, TAG, start, at + 1 - start)
        at, _ = token(at + 1, end, TAG_VALUE)
    put(of_series, SERIES_GOOD, 1)


@compiled
def is_reserved(state: int, column: int) -> bool:
    return (
        get(column_at(state, column), COLUMN_LENGTH) == 4
        and load64(get(column_at(state, column), COLUMN_NAME)) & first_bytes(4) == _TIME_NAME
    )


@compiled
def kind_in_line(state: int, column: int, fields: int) -> int:
    """The kind an unsettled column has by what the line said about it before its field number ``fields``."""
    for i in range(fields):
        if get(field_at(state, i), FIELD_COLUMN) == column:
            return get(field_at(state, i), FIELD_KIND)
    return TAG


@compiled
def check(state: int, line: int, end: int, series: int, fields: int) -> int:
    """How many columns the line would be the first good one to use; -1 if it was refused."""
    add(state, LINE_SERIAL, 1)
    serial = get(state, LINE_SERIAL)
    unused = 0
    first = get(series_at(state, series), SERIES_TAGS)
    for i in range(get(series_at(state, series), SERIES_TAG_COUNT)):
        column = get(pair_at(state, first + i), PAIR_COLUMN)
        kind = get(column_at(state, column), COLUMN_KIND)
        if is_reserved(state, column):
            refuse_column(state, RESERVED_COLUMN, line, end, column, TAG, kind)
            return -1
        if get(column_at(state, column), COLUMN_MARK) == serial:
            refuse_column(state, DUPLICATE_TAG, line, end, column, TAG, kind)
            return -1
        if kind != UNSETTLED and kind != TAG:
            refuse_column(state, TYPE_CONFLICT, line, end, column, TAG, kind)
            return -1
        put(column_at(state, column), COLUMN_MARK, serial)
        unused += 1 - get(column_at(state, column), COLUMN_USED)
    for i in range(fields):
        column = get(field_at(state, i), FIELD_COLUMN)
        got = get(field_at(state, i), FIELD_KIND)
        if is_reserved(state, column):
            refuse_column(state, RESERVED_COLUMN, line, end, column, got, got)
            return -1
        expected = get(column_at(state, column), COLUMN_KIND)
        again = get(column_at(state, column), COLUMN_MARK) == serial
        if expected == UNSETTLED:
            expected = kind_in_line(state, column, i) if again else got
        if expected != got:
            refuse_column(state, TYPE_CONFLICT, line, end, column, got, expected)
            return -1
        if again:
            refuse_column(state, DUPLICATE_FIELD, line, end, column, got, expected)
            return -1
        put(column_at(state, column), COLUMN_MARK, serial)
        unused += 1 - get(column_at(state, column), COLUMN_USED)
    return unused


@compiled
def settle_fields(state: int, table: int, fields: int) -> None:
    """A good line has the fields: their columns have their kinds, and others may follow the path of their keys."""
    node = get(table_at(state, table), TABLE_ROOT)
    for i in range(fields):
        field = field_at(state, i)
        column, kind, key = get(field, FIELD_COLUMN), get(field, FIELD_KIND), get(field, FIELD_KEY)
        use(state, table, column, kind)
        child = child_for(state, node, column, kind, key, get(field, FIELD_KEY_END) + 1 - key)
        put(node_at(state, node), NODE_NEXT, child)
        put(field, FIELD_NODE, child)
        node = child


@compiled
def follow(state: int, root: int, fields: int) -> bool:
    """Whether earlier lines had the same fields with the same kinds in the same order: nothing is left to check."""
    nodes = get(state, NODES)
    node = root
    for i in range(fields):
        field = field_at(state, i)
        child = get(node_at(state, node), NODE_NEXT)
        if not has_key(node_at(state, child), get(field, FIELD_KEY)):
            child = alternative(nodes, node, get(field, FIELD_KEY))
            if child == 0:
                return False
            put(node_at(state, node), NODE_NEXT, child)
        if get(node_at(state, child), NODE_KIND) != get(field, FIELD_KIND):
            return False
        put(field, FIELD_NODE, child)
        node = child
    return True


@compiled
def write_record(state: int, table: int, series: int, fields: int, time: int) -> None:
    """Enter the row of a good line, whose fields know their nodes."""
    start = get(state, CELL_COUNT)
    record = get(state, CELLS) + 8 * start
    at = RECORD_HEADER
    for i in range(fields):
        field = field_at(state, i)
        kind = get(field, FIELD_KIND)
        put(record, at, get(field, FIELD_FIRST))
        if kind == STRING:
            second = get(field, FIELD_SECOND)
            at += 1
            put(record, at, second)
            column = column_at(state, get(node_at(state, get(field, FIELD_NODE)), NODE_COLUMN))
            add(column, COLUMN_BYTES, (second & _LENGTH) - (second >> 32))
        elif kind == FLOAT and get(field, FIELD_SECOND) != 0:
            long_float = long_float_at(state, get(state, LONG_FLOAT_COUNT))
            put(long_float, LONG_CELL, start + at)
            put(long_float, LONG_TEXT, get(field, FIELD_FIRST))
            put(long_float, LONG_END, get(field, FIELD_SECOND))
            add(state, LONG_FLOAT_COUNT, 1)
        at += 1
    node = get(field_at(state, fields - 1), FIELD_NODE)
    put(record, RECORD_SERIES, series)
    put(record, RECORD_NODE, node)
    put(record, RECORD_TIME, time)
    add(node_at(state, node), NODE_ROWS, 1)
    add(series_at(state, series), SERIES_ROWS, 1)
    add(table_at(state, table), TABLE_ROWS, 1)
    add(state, CELL_COUNT, at)
    add(state, ROW_COUNT, 1)
    put(series_at(state, get(state, LAST_SERIES)), SERIES_NEXT, series)
    put(state, LAST_SERIES, series)


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
