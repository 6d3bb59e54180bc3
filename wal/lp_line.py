"""One line, the general way: the whole grammar, every check, in the order that decides which error is reported.

The line is read to its end before anything is looked up, so that a malformed line leaves no trace;
then it is checked against what the catalog and the good lines before it have settled; only then
does it settle anything itself.
"""

from __future__ import annotations

from typing import Final

from headrace.wal.lp_kinds import (
    BACKSLASH_AT_END,
    BAD_INTEGER,
    BAD_TIMESTAMP,
    BAD_UINTEGER,
    BOOLEAN,
    DONE,
    DUPLICATE_FIELD,
    DUPLICATE_TAG,
    FLOAT,
    GROW,
    INCOMPLETE,
    INVALID_MEASUREMENT,
    INVALID_UTF8,
    LOOK_UP,
    NO_EQUALS_SIGN,
    NO_FIELDS,
    NO_SPACE,
    NO_TAG_KEY,
    NO_TAG_VALUE,
    RESERVED_COLUMN,
    STRING,
    STRING_TOO_LONG,
    TAG,
    TIME_OUT_OF_RANGE,
    TOO_MANY_COLUMNS,
    TOO_MANY_FIELDS,
    TOO_MANY_TABLES,
    TOO_MANY_TAGS,
    TOO_SPARSE,
    TRAILING_CONTENT,
    TYPE_CONFLICT,
    UNSETTLED,
)
from headrace.wal.lp_names import NONE, add_table, child_for, code_of, column_of, find_series, find_table
from headrace.wal.lp_numbers import (
    INTEGER_OVERFLOW,
    LONG_FLOAT,
    NOT_A_NUMBER,
    UINTEGER_OVERFLOW,
    digits,
    in_range,
    number,
)
from headrace.wal.lp_state import (
    ARENA,
    ARENA_END,
    CELL_COUNT,
    CHECK_UTF8,
    COLUMN_BYTES,
    COLUMN_COUNT,
    COLUMN_KIND,
    COLUMN_LENGTH,
    COLUMN_MARK,
    COLUMN_MASK,
    COLUMN_NAME,
    COLUMN_USED,
    DEFAULT_TIME,
    DENSE_CELLS,
    DENSE_LIMIT,
    ERROR_AT,
    ERROR_AT_END,
    ERROR_CODE,
    ERROR_COLUMN,
    ERROR_COUNT,
    ERROR_EXPECTED,
    ERROR_GOT,
    ERROR_LINE,
    ERROR_LINE_END,
    FIELD_COLUMN,
    FIELD_ESCAPED,
    FIELD_FIRST,
    FIELD_KEY,
    FIELD_KEY_END,
    FIELD_KIND,
    FIELD_SECOND,
    LAST_SERIES,
    LINE_SERIAL,
    LONG_CELL,
    LONG_END,
    LONG_FLOAT_COUNT,
    LONG_TEXT,
    MAX_COLUMNS,
    MAX_ERRORS,
    MAX_LINE_COLUMNS,
    MAX_TABLES,
    NEED,
    NEED_BYTES,
    NODE_COUNT,
    NODE_END,
    NODE_MASK,
    NODE_NEXT,
    NODE_ROWS,
    PAIR_CODE,
    PAIR_COLUMN,
    PAIR_COUNT,
    RECORD_HEADER,
    RECORD_NODE,
    RECORD_SERIES,
    RECORD_TIME,
    ROW_COUNT,
    SEED,
    SERIES_COUNT,
    SERIES_GOOD,
    SERIES_HASH,
    SERIES_KEY,
    SERIES_LENGTH,
    SERIES_MASK,
    SERIES_NEXT,
    SERIES_ROOT,
    SERIES_ROWS,
    SERIES_TABLE,
    SERIES_TAG_COUNT,
    SERIES_TAGS,
    TABLE_COUNT,
    TABLE_MASK,
    TABLE_ROOT,
    TABLE_ROWS,
    TABLE_WIDTH,
    UNIT,
    USED_COUNT,
    VALUE_COUNT,
    VALUE_MASK,
    State,
    place,
)
from headrace.wal.lp_tokens import (
    EMPTY,
    ENDS_WITH_BACKSLASH,
    ESCAPED,
    KEY,
    MEASUREMENT,
    STRING_LIMIT,
    TAG_VALUE,
    TOO_LONG,
    is_utf8,
    line_end,
    resolve,
    string_end,
    token,
)
from headrace.wal.lp_words import compiled, first_bytes, hashed, load8, load64, signed

_COMMA, _EQUALS, _SPACE, _QUOTE, _MINUS, _RETURN = b',= "-\r'
_TIME_NAME: Final = signed(int.from_bytes(b"time", "little"))
_MIN: Final = -(1 << 63)
_MAX: Final = (1 << 63) - 1
# What `read_line` found: a row, or nothing that asks for one.
GOOD: Final = 0
_TRUE_WORDS: Final = (
    int.from_bytes(b"true", "little"),
    int.from_bytes(b"True", "little"),
    int.from_bytes(b"TRUE", "little"),
)
_FALSE_WORDS: Final = (
    int.from_bytes(b"false", "little"),
    int.from_bytes(b"False", "little"),
    int.from_bytes(b"FALSE", "little"),
)
_FOUR: Final = (1 << 32) - 1
_FIVE: Final = (1 << 40) - 1


@compiled
def boolean(at: int) -> tuple[int, int]:
    """The truth value at ``at``, or -1, and how many bytes it takes."""
    word = load64(at)
    four = word & _FOUR
    if four == _TRUE_WORDS[0] or four == _TRUE_WORDS[1] or four == _TRUE_WORDS[2]:
        return 1, 4
    five = word & _FIVE
    if five == _FALSE_WORDS[0] or five == _FALSE_WORDS[1] or five == _FALSE_WORDS[2]:
        return 0, 5
    char = word & 0xFF
    if char == 116 or char == 84:  # t T
        return 1, 1
    if char == 102 or char == 70:  # f F
        return 0, 1
    return -1, 0


@compiled
def refuse(state: State, code: int, line: int, end: int, at: int, at_end: int) -> None:
    """Count an error and keep it while there is room; the message is made later."""
    count = state.control[ERROR_COUNT]
    if count < MAX_ERRORS:
        error = state.errors[count]
        error[ERROR_CODE] = code
        error[ERROR_LINE] = line
        error[ERROR_LINE_END] = end
        error[ERROR_AT] = at
        error[ERROR_AT_END] = at_end
    state.control[ERROR_COUNT] += 1


@compiled
def refuse_column(state: State, code: int, line: int, end: int, column: int, got: int, expected: int) -> None:
    count = state.control[ERROR_COUNT]
    if count < MAX_ERRORS:
        state.errors[count, ERROR_COLUMN] = column
        state.errors[count, ERROR_GOT] = got
        state.errors[count, ERROR_EXPECTED] = expected
    refuse(state, code, line, end, line, line)


@compiled
def token_error(state: State, found: int, line: int, end: int, at: int, when_empty: int) -> bool:
    """Refuse the line if a token is not what it has to be."""
    if found == EMPTY:
        refuse(state, when_empty, line, end, at, end)
    elif found == ENDS_WITH_BACKSLASH:
        refuse(state, BACKSLASH_AT_END, line, end, at, end)
    elif found == TOO_LONG:
        refuse(state, STRING_TOO_LONG, line, end, at, end)
    else:
        return False
    return True


@compiled
def skip_spaces(at: int, end: int) -> int:
    while at < end and load8(at) == _SPACE:
        at += 1
    return at


@compiled
def read_series(state: State, line: int, end: int) -> tuple[int, int]:
    """Where measurement and tags end, and how many tags there are; (0, 0) if the line was refused."""
    at, found = token(line, end, MEASUREMENT)
    if token_error(state, found, line, end, at, INVALID_MEASUREMENT):
        return 0, 0
    tags = 0
    first = at + 1
    while at < end and load8(at) == _COMMA:
        start = at + 1
        at, found = token(start, end, KEY)
        if token_error(state, found, line, end, start, NO_TAG_KEY):
            return 0, 0
        if at >= end or load8(at) != _EQUALS:
            refuse(state, NO_EQUALS_SIGN, line, end, first, end)
            return 0, 0
        start = at + 1
        at, found = token(start, end, TAG_VALUE)
        if token_error(state, found, line, end, start, NO_TAG_VALUE):
            return 0, 0
        tags += 1
    if tags > MAX_LINE_COLUMNS:
        refuse(state, TOO_MANY_TAGS, line, end, line, end)
        return 0, 0
    if at >= end or load8(at) != _SPACE:
        refuse(state, NO_SPACE, line, end, at, end)
        return 0, 0
    return at, tags


@compiled
def read_value(state: State, line: int, end: int, at: int, row: int) -> tuple[int, int]:
    """The field's kind and where its value ends; NOT_A_NUMBER if there is no value, -1 if the line was refused."""
    if at >= end:
        return NOT_A_NUMBER, at
    field = state.fields[row]
    char = load8(at)
    if char == _QUOTE:
        closing, escapes = string_end(at + 1, end)
        if closing == 0:
            return NOT_A_NUMBER, at
        if closing - at - 1 - escapes > STRING_LIMIT:
            refuse(state, STRING_TOO_LONG, line, end, at, end)
            return -1, at
        field[FIELD_FIRST] = at + 1
        field[FIELD_SECOND] = (closing - at - 1) | (escapes << 32)
        return STRING, closing + 1
    if char == _MINUS or 48 <= char <= 57:
        kind, bits, after = number(at)
        if kind == INTEGER_OVERFLOW:
            refuse(state, BAD_INTEGER, line, end, at, after)
            return -1, at
        if kind == UINTEGER_OVERFLOW:
            refuse(state, BAD_UINTEGER, line, end, at, after)
            return -1, at
        field[FIELD_FIRST] = bits
        field[FIELD_SECOND] = 0
        if kind == LONG_FLOAT:
            field[FIELD_FIRST] = at
            field[FIELD_SECOND] = after
            kind = FLOAT
        return kind, after
    truth, length = boolean(at)
    if length == 0 or at + length > end:
        return NOT_A_NUMBER, at
    field[FIELD_FIRST] = truth
    return BOOLEAN, at + length


@compiled
def read_fields(state: State, line: int, end: int, at: int) -> tuple[int, int]:
    """How many fields there are, each described in ``state.fields``, and where they end; 0 if the line was refused."""
    count = 0
    comma = at
    while True:
        row = min(count, MAX_LINE_COLUMNS - 1)
        after_key, found = token(at, end, KEY)
        if found >= ENDS_WITH_BACKSLASH:
            token_error(state, found, line, end, at, NO_FIELDS)
            return 0, at
        kind = NOT_A_NUMBER
        after = at
        if found != EMPTY and after_key < end and load8(after_key) == _EQUALS:
            kind, after = read_value(state, line, end, after_key + 1, row)
            if kind == -1:
                return 0, at
        if kind == NOT_A_NUMBER:
            if count == 0:
                refuse(state, NO_FIELDS, line, end, at, end)
                return 0, at
            # The peer forgives a comma after the only field: what follows may be a timestamp.
            at = at if count == 1 else comma
            break
        field = state.fields[row]
        field[FIELD_KEY] = at
        field[FIELD_KEY_END] = after_key
        field[FIELD_ESCAPED] = found == ESCAPED
        field[FIELD_KIND] = kind
        count += 1
        at = after
        if at >= end or load8(at) != _COMMA:
            break
        comma = at
        at += 1
    if count > MAX_LINE_COLUMNS:
        refuse(state, TOO_MANY_FIELDS, line, end, line, end)
        return 0, at
    return count, at


@compiled
def read_time(state: State, line: int, end: int, at: int) -> tuple[bool, bool, int, int, int]:
    """Whether the rest of the line is good, whether it is a timestamp, its value and its text."""
    start = skip_spaces(at, end)
    given = False
    value = 0
    after = start
    if start > at and start < end:
        negative = load8(start) == _MINUS
        first = start + 1 if negative else start
        count, value = digits(first)
        if count > 0:
            given = True
            after = first + count
            if not in_range(negative, count, value, first):
                refuse(state, BAD_TIMESTAMP, line, end, start, after)
                return False, False, 0, start, after
            if negative:
                value = -value
            at = skip_spaces(after, end)
    if skip_spaces(at, end) < end:
        refuse(state, TRAILING_CONTENT, line, end, at, end)
        return False, False, 0, start, after
    return True, given, value, start, after


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
def has_room(state: State, columns: int, length: int) -> bool:
    """Whether a line of so many tags and fields, and so many bytes, fits whatever it adds."""
    control = state.control
    control[NEED] = columns
    control[NEED_BYTES] = length
    return (
        control[TABLE_COUNT] + 1 <= len(state.tables)
        and 2 * (control[TABLE_COUNT] + 1) <= control[TABLE_MASK]
        and control[COLUMN_COUNT] + columns <= len(state.columns)
        and control[COLUMN_COUNT] + columns <= len(state.used)
        and 2 * (control[COLUMN_COUNT] + columns) <= control[COLUMN_MASK]
        and control[NODE_COUNT] + columns + 1 <= len(state.nodes)
        and 2 * (control[NODE_COUNT] + columns + 1) <= control[NODE_MASK]
        and control[SERIES_COUNT] + 1 <= len(state.series)
        and 2 * (control[SERIES_COUNT] + 1) <= control[SERIES_MASK]
        and control[PAIR_COUNT] + columns <= len(state.pairs)
        and control[VALUE_COUNT] + columns <= len(state.values)
        and 2 * (control[VALUE_COUNT] + columns) <= control[VALUE_MASK]
        and control[CELL_COUNT] + RECORD_HEADER + 2 * MAX_LINE_COLUMNS <= len(state.cells)
        and control[LONG_FLOAT_COUNT] + MAX_LINE_COLUMNS <= len(state.long_floats)
        and control[ARENA] + length <= control[ARENA_END]
    )


@compiled
def resolved(state: State, at: int, end: int, found: int, kind: int) -> tuple[int, int]:
    """A token's text with its escapes resolved: address and length."""
    if found != ESCAPED:
        return at, end - at
    target = state.control[ARENA]
    length = resolve(at, end, kind, target)
    state.control[ARENA] += length
    return target, length


@compiled
def add_series(state: State, table: int, line: int, end: int, tags: int, hash_: int) -> int:
    """Enter the series whose key is the text from ``line`` to ``end``, and its tags."""
    at, _ = token(line, end, MEASUREMENT)
    first = state.control[PAIR_COUNT]
    for i in range(tags):
        start = at + 1
        at, found = token(start, end, KEY)
        name, length = resolved(state, start, at, found, KEY)
        column = column_of(state, table, name, length)
        start = at + 1
        at, found = token(start, end, TAG_VALUE)
        text, length = resolved(state, start, at, found, TAG_VALUE)
        state.pairs[first + i, PAIR_COLUMN] = column
        state.pairs[first + i, PAIR_CODE] = code_of(state, column, text, length)
    state.control[PAIR_COUNT] += tags
    row = state.control[SERIES_COUNT]
    state.control[SERIES_COUNT] += 1
    series = state.series[row]
    series[SERIES_KEY] = line
    series[SERIES_LENGTH] = end - line
    series[SERIES_NEXT] = 0
    series[SERIES_GOOD] = 0
    series[SERIES_ROOT] = state.tables[table, TABLE_ROOT]
    series[SERIES_ROWS] = 0
    series[SERIES_TABLE] = table
    series[SERIES_HASH] = hash_
    series[SERIES_TAGS] = first
    series[SERIES_TAG_COUNT] = tags
    place(state.series_index, state.control[SERIES_MASK], hash_, row)
    return row


@compiled
def is_reserved(state: State, column: int) -> bool:
    return (
        state.columns[column, COLUMN_LENGTH] == 4
        and load64(state.columns[column, COLUMN_NAME]) & first_bytes(4) == _TIME_NAME
    )


@compiled
def kind_in_line(state: State, column: int, fields: int) -> int:
    """The kind an unsettled column has by what the line said about it before its field number ``fields``."""
    for i in range(fields):
        if state.fields[i, FIELD_COLUMN] == column:
            return state.fields[i, FIELD_KIND]
    return TAG


@compiled
def check(state: State, line: int, end: int, series: int, fields: int) -> int:
    """How many columns the line would be the first good one to use; -1 if it was refused."""
    state.control[LINE_SERIAL] += 1
    serial = state.control[LINE_SERIAL]
    unused = 0
    first = state.series[series, SERIES_TAGS]
    for i in range(state.series[series, SERIES_TAG_COUNT]):
        column = state.pairs[first + i, PAIR_COLUMN]
        kind = state.columns[column, COLUMN_KIND]
        if is_reserved(state, column):
            refuse_column(state, RESERVED_COLUMN, line, end, column, TAG, kind)
            return -1
        if state.columns[column, COLUMN_MARK] == serial:
            refuse_column(state, DUPLICATE_TAG, line, end, column, TAG, kind)
            return -1
        if kind != UNSETTLED and kind != TAG:
            refuse_column(state, TYPE_CONFLICT, line, end, column, TAG, kind)
            return -1
        state.columns[column, COLUMN_MARK] = serial
        unused += 1 - state.columns[column, COLUMN_USED]
    for i in range(fields):
        column = state.fields[i, FIELD_COLUMN]
        got = state.fields[i, FIELD_KIND]
        if is_reserved(state, column):
            refuse_column(state, RESERVED_COLUMN, line, end, column, got, got)
            return -1
        expected = state.columns[column, COLUMN_KIND]
        again = state.columns[column, COLUMN_MARK] == serial
        if expected == UNSETTLED:
            expected = kind_in_line(state, column, i) if again else got
        if expected != got:
            refuse_column(state, TYPE_CONFLICT, line, end, column, got, expected)
            return -1
        if again:
            refuse_column(state, DUPLICATE_FIELD, line, end, column, got, expected)
            return -1
        state.columns[column, COLUMN_MARK] = serial
        unused += 1 - state.columns[column, COLUMN_USED]
    return unused


@compiled
def use(state: State, table: int, column: int, kind: int) -> None:
    """A good line has the column: settle its kind and, the first time, give it its place among the columns."""
    state.columns[column, COLUMN_KIND] = kind
    if state.columns[column, COLUMN_USED] == 0:
        state.columns[column, COLUMN_USED] = 1
        state.used[state.control[USED_COUNT]] = column
        state.control[USED_COUNT] += 1
        state.tables[table, TABLE_WIDTH] += 1


@compiled
def record(state: State, table: int, series: int, fields: int, time: int) -> None:
    """Enter the good line's row, and the path of its fields for the fast loop to follow."""
    first = state.series[series, SERIES_TAGS]
    for i in range(state.series[series, SERIES_TAG_COUNT]):
        use(state, table, state.pairs[first + i, PAIR_COLUMN], TAG)
    state.series[series, SERIES_GOOD] = 1
    start = state.control[CELL_COUNT]
    cells = state.cells
    node = state.tables[table, TABLE_ROOT]
    at = start + RECORD_HEADER
    for i in range(fields):
        field = state.fields[i]
        column, kind = field[FIELD_COLUMN], field[FIELD_KIND]
        use(state, table, column, kind)
        child = child_for(state, node, column, kind, field[FIELD_KEY], field[FIELD_KEY_END] + 1 - field[FIELD_KEY])
        state.nodes[node, NODE_NEXT] = child
        node = child
        cells[at] = field[FIELD_FIRST]
        if kind == STRING:
            second = field[FIELD_SECOND]
            cells[at + 1] = second
            state.columns[column, COLUMN_BYTES] += (second & _FOUR) - (second >> 32)
        elif kind == FLOAT and field[FIELD_SECOND] != 0:
            row = state.control[LONG_FLOAT_COUNT]
            state.control[LONG_FLOAT_COUNT] += 1
            state.long_floats[row, LONG_CELL] = at
            state.long_floats[row, LONG_TEXT] = field[FIELD_FIRST]
            state.long_floats[row, LONG_END] = field[FIELD_SECOND]
        at = start + state.nodes[node, NODE_END]
    cells[start + RECORD_SERIES] = series
    cells[start + RECORD_NODE] = node
    cells[start + RECORD_TIME] = time
    state.nodes[node, NODE_ROWS] += 1
    state.series[series, SERIES_ROWS] += 1
    state.tables[table, TABLE_ROWS] += 1
    state.control[CELL_COUNT] = at
    state.control[ROW_COUNT] += 1


@compiled
def read_line(state: State, line: int, limit: int, final: bool) -> tuple[int, int]:
    """Take or refuse the line at ``line``; why to stop, if not DONE, and where the next line starts."""
    control = state.control
    newline, ended = line_end(line, limit)
    if not ended and not final:
        return INCOMPLETE, line
    end = newline - 1 if load8(newline - 1) == _RETURN and newline > line else newline
    following = newline + 1
    if end == line:
        return DONE, following
    if control[CHECK_UTF8] and not is_utf8(line, end):
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
    if not has_room(state, tags + fields, end - line):
        return GROW, line

    after, found = token(line, series_end, MEASUREMENT)
    name, length = resolved(state, line, after, found, MEASUREMENT)
    hash_ = hashed(name, length, control[SEED])
    table = find_table(state, name, length, hash_)
    if table == NONE:
        if control[TABLE_COUNT] >= MAX_TABLES:
            refuse(state, TOO_MANY_TABLES, line, end, line, end)
            return DONE, following
        add_table(state, name, length, hash_)
        return LOOK_UP, line
    hash_ = hashed(line, series_end - line, control[SEED])
    series = find_series(state, line, series_end - line, hash_)
    if series == NONE:
        series = add_series(state, table, line, series_end, tags, hash_)
    for i in range(fields):
        field = state.fields[i]
        found = ESCAPED if field[FIELD_ESCAPED] else EMPTY
        name, length = resolved(state, field[FIELD_KEY], field[FIELD_KEY_END], found, KEY)
        field[FIELD_COLUMN] = column_of(state, table, name, length)

    unused = check(state, line, end, series, fields)
    if unused < 0:
        return DONE, following
    if given:
        good, time = scale(control[UNIT], time)
        if not good:
            refuse(state, TIME_OUT_OF_RANGE, line, end, time_text, time_end)
            return DONE, following
    else:
        time = control[DEFAULT_TIME]
    if control[USED_COUNT] + unused > MAX_COLUMNS:
        refuse(state, TOO_MANY_COLUMNS, line, end, line, end)
        return DONE, following
    rows, width = state.tables[table, TABLE_ROWS], state.tables[table, TABLE_WIDTH]
    cells = control[DENSE_CELLS] + width + unused + unused * rows
    if cells > control[DENSE_LIMIT]:
        refuse(state, TOO_SPARSE, line, end, line, end)
        return DONE, following
    control[DENSE_CELLS] = cells
    record(state, table, series, fields, time)
    state.series[control[LAST_SERIES], SERIES_NEXT] = series
    control[LAST_SERIES] = series
    return DONE, following
