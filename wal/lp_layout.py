"""Where the line protocol kernels keep what: flat tables of 64-bit words, and the limits on them.

Each table is rows of words with named places; rows are appended and never move within their table,
so a row's number is its identity. Kernels are handed one address, that of the control words, which
hold settings, counters and the addresses of the tables.
"""

from __future__ import annotations

from typing import Final

from headrace.wal.lp_words import compiled, get, put

MAX_ERRORS: Final = 1000
"""Errors kept for a body; those beyond are counted."""
MAX_LINE_COLUMNS: Final = 8192
"""Tags of a line, and fields of a line."""
MAX_TABLES: Final = 10_000
"""Tables in a body."""
MAX_COLUMNS: Final = 100_000
"""Columns of all tables in a body."""
MIN_CELLS: Final = 1 << 24
"""Rows times columns, over all tables, that any body may come to: 128 MiB of values."""
CELLS_PER_BYTE: Final = 2
"""What longer bodies may come to; bounds the memory of tables whose lines share few columns."""
PADDING: Final = 64
"""Readable bytes a kernel is owed behind the text it is given."""

# Counters, settings and addresses, one word each, in State.control: the one thing that kernels are handed.
(
    POSITION,  # where the kernel stopped: the start of a line
    SEED,
    UNIT,  # nanoseconds of one unit of time; 0: guess from the magnitude
    DEFAULT_TIME,
    CHECK_UTF8,  # 1: the body is not all UTF-8, look at every line
    TABLE_COUNT,
    COLUMN_COUNT,
    NODE_COUNT,
    SERIES_COUNT,
    PAIR_COUNT,
    VALUE_COUNT,
    USED_COUNT,  # columns that good lines use
    LONG_FLOAT_COUNT,
    CELL_COUNT,  # words of State.cells in use
    ROW_COUNT,
    ERROR_COUNT,
    LAST_SERIES,
    LINE_SERIAL,
    DENSE_CELLS,  # rows times columns so far
    DENSE_LIMIT,
    TABLE_MASK,  # sizes of the hash indexes, less one
    COLUMN_MASK,
    NODE_MASK,
    SERIES_MASK,
    VALUE_MASK,
    ARENA,  # the next free byte for resolved names
    ARENA_END,
    NEED,  # rows the stopped line may add to any table
    NEED_BYTES,  # bytes of names the stopped line may add
    TABLES,  # addresses of the arrays
    TABLE_INDEX,
    COLUMNS,
    COLUMN_INDEX,
    USED,
    NODES,
    NODE_INDEX,
    SERIES,
    SERIES_INDEX,
    PAIRS,
    VALUES,
    VALUE_INDEX,
    FIELDS,
    CELLS,
    LONG_FLOATS,
    ERRORS,
    TABLE_ROOM,  # how many rows the arrays have
    COLUMN_ROOM,
    NODE_ROOM,
    SERIES_ROOM,
    PAIR_ROOM,
    VALUE_ROOM,
    CELL_ROOM,
    LONG_FLOAT_ROOM,
    CONTROL_SIZE,
) = range(54)

# A table, the roots of the paths its fields and its tags take, its name as it stands in lines.
(
    TABLE_NAME,
    TABLE_LENGTH,
    TABLE_HASH,
    TABLE_ROOT,
    TABLE_TAG_ROOT,
    TABLE_RAW,
    TABLE_RAW_LENGTH,
    TABLE_ROWS,
    TABLE_WIDTH,  # columns that good lines use
    TABLE_BYTES,  # of the memory its columns need
    TABLE_NEXT_ROW,  # the row that is written next
    TABLE_SIZE,
) = range(12)

# A column of a table. KIND is a code of `lp_columns.KINDS`, 0 until a good line or the catalog settles it.
(
    COLUMN_TABLE,
    COLUMN_NAME,
    COLUMN_LENGTH,
    COLUMN_HASH,
    COLUMN_KIND,
    COLUMN_USED,  # 1 once a good line has it
    COLUMN_KNOWN,  # 1 if the catalog has it
    COLUMN_MARK,  # serial of the last line that was seen to have it
    COLUMN_ROWS,  # rows that have a value
    COLUMN_BYTES,  # of strings: of all values; of tags: of the dictionary
    COLUMN_VALUES,  # of tags: entries of the dictionary
    COLUMN_DATA,  # where the parts of the Arrow array go, as offsets into the table's memory, then as addresses
    COLUMN_VALID,
    COLUMN_OFFSETS,
    COLUMN_TEXT,
    COLUMN_FILLED,  # rows (or dictionary entries) written so far
    COLUMN_SIZE,
) = range(17)

# A node: one field at one place in the field sets of a table. A path from the root is a field set.
# The first eight words are all that the fast loop looks at.
(
    NODE_WORD,  # the first eight bytes of the key with its equals sign
    NODE_WORD_MASK,  # which of them count
    NODE_LENGTH,
    NODE_KEY,
    NODE_NEXT,  # the child that came next the last time
    NODE_KIND,
    NODE_COLUMN,
    NODE_SIBLING,
    NODE_CHILD,  # the newest child
    NODE_PARENT,
    NODE_SLOT,  # first word of the value in the row's record
    NODE_END,  # words of the record up to and including this field
    NODE_ROWS,  # rows whose field set ends here
    NODE_DEPTH,
    NODE_PATH,  # where the list of the path's nodes starts, once laid out
    NODE_HASH,
) = range(16)
NODE_SIZE: Final = 16

# A series: the distinct bytes in front of a line's first unescaped space.
(
    SERIES_KEY,
    SERIES_LENGTH,
    SERIES_NEXT,  # the series that came next the last time
    SERIES_GOOD,  # 1 once its tags are settled as tags
    SERIES_ROOT,
    SERIES_ROWS,
    SERIES_TABLE,
    SERIES_HASH,
    SERIES_TAGS,  # its first row in `pairs`
    SERIES_TAG_COUNT,
    SERIES_SIZE,
) = range(11)

# A tag of a series.
PAIR_COLUMN, PAIR_CODE, PAIR_SIZE = range(3)

# A distinct value of a tag.
VALUE_COLUMN, VALUE_TEXT, VALUE_LENGTH, VALUE_HASH, VALUE_CODE, VALUE_SIZE = range(6)

# A field of the line that the general path is looking at. Values take one word, strings two.
(
    FIELD_KEY,
    FIELD_KEY_END,
    FIELD_ESCAPED,
    FIELD_KIND,
    FIELD_FIRST,
    FIELD_SECOND,
    FIELD_COLUMN,
    FIELD_NODE,
    FIELD_SIZE,
) = range(9)

# The record of a row in `cells`: these words, then the values in the order of its field set.
RECORD_SERIES, RECORD_NODE, RECORD_TIME, RECORD_HEADER = range(4)

# An error. AT and AT_END delimit the text the message is about.
ERROR_CODE, ERROR_LINE, ERROR_LINE_END, ERROR_AT, ERROR_AT_END, ERROR_COLUMN, ERROR_GOT, ERROR_EXPECTED = range(8)
ERROR_SIZE: Final = 8

# A float of more digits than kernels convert: its word in `cells`, its text.
LONG_CELL, LONG_TEXT, LONG_END, LONG_SIZE = range(4)


@compiled
def place(index: int, mask: int, hash_: int, row: int) -> None:
    """Enter a row into a hash index, whose free places hold 0 and the others row + 1."""
    at = hash_ & mask
    while get(index, at) != 0:
        at = (at + 1) & mask
    put(index, at, row + 1)


@compiled
def table_at(state: int, row: int) -> int:
    return get(state, TABLES) + row * (8 * TABLE_SIZE)


@compiled
def column_at(state: int, row: int) -> int:
    return get(state, COLUMNS) + row * (8 * COLUMN_SIZE)


@compiled
def node_at(state: int, row: int) -> int:
    return get(state, NODES) + row * (8 * NODE_SIZE)


@compiled
def series_at(state: int, row: int) -> int:
    return get(state, SERIES) + row * (8 * SERIES_SIZE)


@compiled
def pair_at(state: int, row: int) -> int:
    return get(state, PAIRS) + row * (8 * PAIR_SIZE)


@compiled
def value_at(state: int, row: int) -> int:
    return get(state, VALUES) + row * (8 * VALUE_SIZE)


@compiled
def field_at(state: int, row: int) -> int:
    return get(state, FIELDS) + row * (8 * FIELD_SIZE)


@compiled
def long_float_at(state: int, row: int) -> int:
    return get(state, LONG_FLOATS) + row * (8 * LONG_SIZE)


@compiled
def error_at(state: int, row: int) -> int:
    return get(state, ERRORS) + row * (8 * ERROR_SIZE)
