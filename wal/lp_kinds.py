"""Codes that kernels and Python share: kinds of columns, reasons to stop, reasons to refuse a line."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from headrace.wal.schema import ColumnType

# What a column holds; 0 is not settled yet. Numbers have the codes that `lp_numbers.number` gives.
UNSETTLED: Final = 0
TAG: Final = 1
FLOAT: Final = 2
INTEGER: Final = 3
UINTEGER: Final = 4
BOOLEAN: Final = 5
STRING: Final = 6

KINDS: Final[Mapping[int, ColumnType]] = MappingProxyType(
    {
        TAG: ColumnType.TAG,
        FLOAT: ColumnType.FLOAT,
        INTEGER: ColumnType.INTEGER,
        UINTEGER: ColumnType.UINTEGER,
        BOOLEAN: ColumnType.BOOLEAN,
        STRING: ColumnType.STRING,
    }
)
CODES: Final[Mapping[ColumnType, int]] = MappingProxyType({kind: code for code, kind in KINDS.items()})

# Why the kernel came back.
DONE: Final = 0
LOOK_UP: Final = 1  # the newest table needs its schema
GROW: Final = 2  # there is no room for the next line
INCOMPLETE: Final = 3  # the text ends inside the line

# Why a line was refused.
(
    INVALID_UTF8,
    INVALID_MEASUREMENT,
    BACKSLASH_AT_END,
    STRING_TOO_LONG,
    NO_TAG_KEY,
    NO_EQUALS_SIGN,
    NO_TAG_VALUE,
    NO_SPACE,
    NO_FIELDS,
    BAD_INTEGER,
    BAD_UINTEGER,
    BAD_TIMESTAMP,
    TRAILING_CONTENT,
    TIME_OUT_OF_RANGE,
    RESERVED_COLUMN,
    DUPLICATE_TAG,
    DUPLICATE_FIELD,
    TYPE_CONFLICT,
    TOO_MANY_TAGS,
    TOO_MANY_FIELDS,
    TOO_MANY_TABLES,
    TOO_MANY_COLUMNS,
    TOO_SPARSE,
) = range(1, 24)
