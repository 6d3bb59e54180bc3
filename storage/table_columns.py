"""Columns that a plugin hands over, turned into the columns of a table.

What converts without loss is converted: signed and unsigned integers to 64 bits, floats to float64, text of
any layout to utf8, tags to dictionaries, times of any unit to nanoseconds (time zones only say how to show a
time; whole numbers are nanoseconds already). Everything else is refused by the column's name. A column whose
type is Arrow's null, or unknown to the table and all null, is left out.

The columns may come from a process that runs someone else's code: their buffers are checked before any is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from headrace.storage.errors import InvalidColumns
from headrace.storage.names import shown
from headrace.storage.suggest import did_you_mean
from headrace.wal.schema import TAG_TYPE, TIME_COLUMN, TIME_TYPE, ColumnType, TableSchema


@dataclass(frozen=True, slots=True)
class FittedRows:
    """``batch`` has a time column without nulls and columns of the table's types; the table lacks ``new_columns``."""

    batch: pa.RecordBatch
    new_columns: Mapping[str, ColumnType]


def fit_columns(
    table: str,
    data: pa.RecordBatch,
    tags: Sequence[str],
    schema: TableSchema | None,
    default_time_ns: int,
) -> FittedRows:
    """``data`` as rows of ``table``, whose columns so far are ``schema``'s.

    Rows get ``default_time_ns`` if there is no time column. Raises InvalidColumns, naming the column.
    """
    try:
        data.validate(full=True)
        names = data.schema.names
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise InvalidColumns(f"table {table!r}: the columns are damaged: {error}") from None
    _check_names(table, names, tags)
    tag_set = frozenset(tags)
    known = {} if schema is None else schema.columns
    columns: dict[str, pa.Array] = {}
    new: dict[str, ColumnType] = {}
    # Tags first, in the order they are given: that is the order a new table sorts its rows by.
    for name in [*tags, *(name for name in names if name not in tag_set)]:
        column = data.column(name)
        kind = ColumnType.TIME if name == TIME_COLUMN else _kind(table, name, column.type, name in tag_set)
        if kind is None or (name not in known and kind.is_field and column.null_count == len(column)):
            continue
        expected = known.get(name)
        if expected is not None and expected is not kind:
            raise _mismatch(table, name, expected, kind)
        if expected is None:
            new[name] = kind
        columns[name] = _CONVERT.get(kind, _to_field)(table, name, column, kind)
    if not any(name not in tag_set and name != TIME_COLUMN for name in columns):
        raise InvalidColumns(f"table {table!r}: rows need a field, but there are only {_listed(columns)}")
    if TIME_COLUMN not in columns:
        columns[TIME_COLUMN] = pa.repeat(pa.scalar(default_time_ns, pa.int64()), data.num_rows).view(TIME_TYPE)
    new.pop(TIME_COLUMN, None)
    types = [pa.field(name, column.type, name != TIME_COLUMN) for name, column in columns.items()]
    return FittedRows(pa.RecordBatch.from_arrays(list(columns.values()), schema=pa.schema(types)), new)


def _check_names(table: str, names: Sequence[str], tags: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise InvalidColumns(f"table {table!r}: column {shown(twice)} is there twice")
    present = set(names)
    for tag in tags:
        if tag == TIME_COLUMN:
            raise InvalidColumns(f"table {table!r}: 'time' cannot be a tag")
        if tag not in present:
            raise InvalidColumns(f"table {table!r}: there is no column for tag {shown(tag)}{did_you_mean(tag, names)}")
    if len(set(tags)) < len(tags):
        raise InvalidColumns(f"table {table!r}: a tag is named twice in {list(tags)!r:.200}")


def _kind(table: str, name: str, data_type: pa.DataType, is_tag: bool) -> ColumnType | None:
    """What the column becomes, or None if its type says that nothing is in it."""
    value_type = data_type.value_type if pa.types.is_dictionary(data_type) else data_type
    if pa.types.is_null(value_type):
        return None
    if is_tag:
        if _is_text(value_type):
            return ColumnType.TAG
        raise InvalidColumns(f"table {table!r}: tag {shown(name)} must hold text, not {data_type}")
    if _is_text(value_type):
        return ColumnType.STRING
    for kind, test in _FIELDS:
        if test(data_type):
            return kind
    raise InvalidColumns(
        f"table {table!r}: column {shown(name)} has type {data_type}; a field is a float, an integer, a boolean or text"
    )


def _to_time(table: str, name: str, column: pa.Array, kind: ColumnType) -> pa.Array:
    if column.null_count:
        raise InvalidColumns(f"table {table!r}: {column.null_count} of {len(column)} times are null")
    try:
        if pa.types.is_integer(column.type):
            return column.cast(pa.int64()).view(TIME_TYPE)
        if pa.types.is_timestamp(column.type):
            return column.cast(pa.timestamp("ns", column.type.tz)).view(pa.int64()).view(TIME_TYPE)
    except pa.ArrowInvalid as error:
        raise InvalidColumns(f"table {table!r}: a time does not fit into 64 bits of nanoseconds: {error}") from None
    raise InvalidColumns(f"table {table!r}: column 'time' has type {column.type}; it must hold timestamps")


def _to_tag(table: str, name: str, column: pa.Array, kind: ColumnType) -> pa.Array:
    if column.type == TAG_TYPE and not column.dictionary.null_count:
        return column
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.utf8()).dictionary_encode()


def _to_field(table: str, name: str, column: pa.Array, kind: ColumnType) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column if column.type == kind.arrow else column.cast(kind.arrow)


def _is_text(data_type: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(data_type) or pa.types.is_large_string(data_type) or pa.types.is_string_view(data_type)
    )


_Convert = Callable[[str, str, pa.Array, ColumnType], pa.Array]
_CONVERT: Final[Mapping[ColumnType, _Convert]] = {ColumnType.TIME: _to_time, ColumnType.TAG: _to_tag}
_FIELDS: Final[Sequence[tuple[ColumnType, Callable[[pa.DataType], bool]]]] = (
    (ColumnType.FLOAT, pa.types.is_floating),
    (ColumnType.INTEGER, pa.types.is_signed_integer),
    (ColumnType.UINTEGER, pa.types.is_unsigned_integer),
    (ColumnType.BOOLEAN, pa.types.is_boolean),
)


def _mismatch(table: str, name: str, expected: ColumnType, got: ColumnType) -> InvalidColumns:
    hint = ""
    if expected is ColumnType.TAG:
        hint = "; name it among the tags"
    elif got is ColumnType.TAG:
        hint = "; do not name it among the tags"
    return InvalidColumns(f"table {table!r}: column {shown(name)} is {expected}, not {got}{hint}")


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(shown(name) for name in names) or "no columns with values"
