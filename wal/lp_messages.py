"""Why a line was refused, in words: InfluxDB 3's wording where it has one."""

from __future__ import annotations

from ctypes import string_at
from typing import Final

import headrace.wal.lp_kinds as lp_kinds
from headrace.wal.lp_kinds import KINDS
from headrace.wal.lp_layout import (
    COLUMN_LENGTH,
    COLUMN_NAME,
    ERROR_AT,
    ERROR_AT_END,
    ERROR_CODE,
    ERROR_COLUMN,
    ERROR_EXPECTED,
    ERROR_GOT,
    MAX_COLUMNS,
    MAX_LINE_COLUMNS,
    MAX_TABLES,
)
from headrace.wal.lp_scratch import State
from headrace.wal.precision import Precision
from headrace.wal.schema import ColumnType

ORIGINAL_LINE_BYTES: Final = 20
_CONTEXT: Final = 10  # characters shown of the place where parsing stopped
_CAP: Final = 256  # characters shown of a name or a number
_UTF8_MAX: Final = 4

_TYPE_NAMES: Final = {
    ColumnType.TAG: "iox::column_type::tag",
    ColumnType.FLOAT: "iox::column_type::field::float",
    ColumnType.INTEGER: "iox::column_type::field::integer",
    ColumnType.UINTEGER: "iox::column_type::field::uinteger",
    ColumnType.STRING: "iox::column_type::field::string",
    ColumnType.BOOLEAN: "iox::column_type::field::boolean",
}

_MESSAGES: Final = {
    lp_kinds.INVALID_UTF8: "Line is not valid UTF-8",
    lp_kinds.INVALID_MEASUREMENT: "Invalid measurement was provided",
    lp_kinds.BACKSLASH_AT_END: "Measurements, tag keys and values, and field keys may not end with a backslash",
    lp_kinds.STRING_TOO_LONG: "String is greater than 1MB",
    lp_kinds.NO_TAG_KEY: "Expected tag key, got {context_or_end}",
    lp_kinds.NO_EQUALS_SIGN: "Tag set malformed: could not find equals sign in `{context}`",
    lp_kinds.NO_TAG_VALUE: "Expected tag value, got {context_or_end}",
    lp_kinds.NO_SPACE: "Expected at least one space character, got {text_or_end}",
    lp_kinds.NO_FIELDS: "No fields were provided",
    lp_kinds.BAD_INTEGER: "Unable to parse integer value `{text}`",
    lp_kinds.BAD_UINTEGER: "Unable to parse unsigned integer value `{text}`",
    lp_kinds.BAD_TIMESTAMP: "Unable to parse timestamp value `{text}`",
    lp_kinds.TRAILING_CONTENT: "Could not parse entire line. Found trailing content: `{context}`",
    lp_kinds.TIME_OUT_OF_RANGE: "timestamp, {number}, out of range for precision: {precision}",
    lp_kinds.RESERVED_COLUMN: "'{column}' is a reserved column",
    lp_kinds.DUPLICATE_TAG: "Must not contain duplicate tags, but `{column}` was repeated",
    lp_kinds.DUPLICATE_FIELD: "invalid line protocol - multiple instances of '{column}' field found",
    lp_kinds.TYPE_CONFLICT: "invalid column type for column '{column}', expected {expected}, got {got}",
    lp_kinds.TOO_MANY_TAGS: f"More than {MAX_LINE_COLUMNS} tags in one line",
    lp_kinds.TOO_MANY_FIELDS: f"More than {MAX_LINE_COLUMNS} fields in one line",
    lp_kinds.TOO_MANY_TABLES: f"More than {MAX_TABLES} tables in one request; send the lines in several requests",
    lp_kinds.TOO_MANY_COLUMNS: f"More than {MAX_COLUMNS} columns in one request; send the lines in several requests",
    lp_kinds.TOO_SPARSE: "Too many columns that most lines lack in one request; send the lines in several requests",
}


def message(state: State, error: list[int], precision: Precision) -> str:
    """The text for one row of ``state.errors``."""
    start, end = error[ERROR_AT], error[ERROR_AT_END]
    template = _MESSAGES[error[ERROR_CODE]]
    parts: dict[str, object] = {}
    if "{column}" in template:
        row = state.columns[error[ERROR_COLUMN]]
        parts["column"] = _capped(int(row[COLUMN_NAME]), int(row[COLUMN_NAME] + row[COLUMN_LENGTH]))
    if "{expected}" in template:
        parts["expected"] = _TYPE_NAMES[KINDS[error[ERROR_EXPECTED]]]
        parts["got"] = _TYPE_NAMES[KINDS[error[ERROR_GOT]]]
    if "{number}" in template:
        parts["number"] = int(string_at(start, end - start))
        parts["precision"] = precision.value.capitalize()
    if "context" in template:
        parts["context"] = _context(start, end)
        parts["context_or_end"] = f"`{parts['context']}`" if end > start else "end of input"
    if "text" in template:
        parts["text"] = _capped(start, end)
        parts["text_or_end"] = f"`{parts['text']}`" if end > start else "end of input"
    return template.format_map(parts)


def original_line(line: bytes) -> str:
    """The start of a line, as much of it as errors show: whole characters in at most 20 bytes."""
    end = min(len(line), ORIGINAL_LINE_BYTES)
    if len(line) > end:
        while end > ORIGINAL_LINE_BYTES - _UTF8_MAX and line[end] & 0xC0 == 0x80:
            end -= 1
    return line[:end].decode(errors="replace")


def _characters(start: int, end: int, count: int) -> str:
    """At most ``count`` characters of the text, and one more if there are more."""
    length = min(end - start, (count + 1) * _UTF8_MAX)
    return string_at(start, length).decode(errors="ignore")[: count + 1]


def _context(start: int, end: int) -> str:
    text = _characters(start, end, _CONTEXT)
    return text[:_CONTEXT] + "..." if end - start > _CONTEXT else text


def _capped(start: int, end: int) -> str:
    text = _characters(start, end, _CAP)
    return text[:_CAP] + "..." if len(text) > _CAP else text
