"""Columns that a plugin writes, as plain buffers on the wire.

A worker is not trusted, so its columns do not travel as Arrow IPC, whose reader would act on lengths, types and
compression that the worker chose. Instead every column is one of the seven kinds a table can hold, its buffers
follow each other in the payload, each padded to eight bytes, and the receiver works out from the number of rows
how long each must be. What arrives is validated in full before anything looks at it.

One column is described by ``[name, kind, [buffer lengths]]``; the buffers are those of Arrow's layout: validity
(length 0: no nulls), then values, or offsets and text. A tag column has the buffers of its indices, then those of
its dictionary, and the dictionary's length as a fourth element.

Imported by workers: standard library and pyarrow only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

TAG = "tag"
TIME = "time"
_DICTIONARY = pa.dictionary(pa.int32(), pa.utf8())
_WIDTH: dict[str, tuple[pa.DataType, int]] = {
    TIME: (pa.timestamp("ns"), 8),
    "float64": (pa.float64(), 8),
    "int64": (pa.int64(), 8),
    "uint64": (pa.uint64(), 8),
}
Description = list[Any]
MAX_COLUMNS = 10_000


class UnwritableColumn(ValueError):
    """A column whose type no table can hold."""


class MalformedColumns(ValueError):
    """What arrived is not what this module sends."""


def encode_columns(table: pa.Table, tags: Sequence[str]) -> tuple[int, list[Description], list[memoryview]]:
    """The number of rows, a description of each column, and the buffers to send.

    Columns of nothing but nulls of no type are left out.

    Raises:
        UnwritableColumn: a column's type has no counterpart in a table, or a value does not fit it.
    """
    descriptions: list[Description] = []
    buffers: list[memoryview] = []
    if len(set(table.column_names)) < table.num_columns:
        raise UnwritableColumn(f"a column occurs twice: {table.column_names}")
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_null(column.type) and name not in tags:
            continue
        kind = _kind(name, column.type, tags)
        try:
            array = _as_kind(column, kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise UnwritableColumn(f"column '{name}' cannot be written as {kind}: {error}") from None
        if kind == TAG:
            parts = [*_buffers(array.indices), *_buffers(array.dictionary)]
            descriptions.append([name, kind, [len(part) for part in parts], len(array.dictionary)])
        else:
            parts = _buffers(array)
            descriptions.append([name, kind, [len(part) for part in parts]])
        buffers.extend(parts)
    return table.num_rows, descriptions, buffers


def decode_columns(rows: int, descriptions: Sequence[Any], payload: memoryview) -> pa.RecordBatch:
    """The batch that ``encode_columns`` described; ``payload`` holds exactly its padded buffers.

    Raises MalformedColumns for anything else.
    """
    reader = _Reader(payload)
    names: list[str] = []
    arrays: list[pa.Array] = []
    if rows < 0 or len(descriptions) > MAX_COLUMNS:
        raise MalformedColumns("a table has too many columns or a negative number of rows")
    for description in descriptions:
        match description:
            case [str(name), "tag", [int(), int(), int(), int(), int()] as lengths, int(size)] if size >= 0:
                indices = reader.fixed(lengths[:2], rows, pa.int32(), 4)
                dictionary = reader.text(lengths[2:], size)
                array = pa.DictionaryArray.from_arrays(indices, dictionary, safe=False)
            case [str(name), "utf8", [int(), int(), int()] as lengths]:
                array = reader.text(lengths, rows)
            case [str(name), "bool", [int(), int()] as lengths]:
                array = reader.fixed(lengths, rows, pa.bool_(), 0)
            case [str(name), str(kind), [int(), int()] as lengths] if kind in _WIDTH:
                array = reader.fixed(lengths, rows, *_WIDTH[kind])
            case _:
                raise MalformedColumns(f"not the description of a column: {str(description)[:200]}")
        names.append(name)
        arrays.append(array)
    reader.finish()
    if len(set(names)) < len(names):
        raise MalformedColumns("a column occurs twice")
    try:
        batch = pa.RecordBatch.from_arrays(arrays, names)
        batch.validate(full=True)
    except (pa.ArrowException, ValueError) as error:
        raise MalformedColumns(f"the columns are not valid: {error}") from None
    return batch


def padded(length: int) -> int:
    """``length`` rounded up to the eight bytes that every buffer begins at."""
    return -(-length // 8) * 8


def pad(buffers: Sequence[memoryview]) -> list[memoryview]:
    """The buffers with the zeros between them that ``decode_columns`` expects."""
    result: list[memoryview] = []
    for buffer in buffers:
        result.append(buffer)
        if gap := padded(len(buffer)) - len(buffer):
            result.append(memoryview(bytes(gap)))
    return result


def _kind(name: str, kind: pa.DataType, tags: Sequence[str]) -> str:
    if name in tags:
        return TAG
    if name == TIME:
        return TIME
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    for is_one, result in _KINDS:
        if is_one(kind):
            return result
    raise UnwritableColumn(
        f"column '{name}' is of type {kind}; a field is a number, a boolean or a string. Cast it, or drop it"
    )


_KINDS = (
    (pa.types.is_unsigned_integer, "uint64"),
    (pa.types.is_integer, "int64"),
    (pa.types.is_floating, "float64"),
    (pa.types.is_decimal, "float64"),
    (pa.types.is_boolean, "bool"),
    (lambda kind: kind in (pa.utf8(), pa.large_utf8(), pa.string_view()), "utf8"),
)


def _as_kind(column: pa.ChunkedArray, kind: str) -> pa.Array:
    """One array of the kind's type that starts at its buffers' beginning."""
    if kind != TAG:
        return _compact(column.cast(_type(kind)))
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.utf8()).dictionary_encode()
    return _compact(column.cast(_DICTIONARY))


def _type(kind: str) -> pa.DataType:
    if kind in _WIDTH:
        return _WIDTH[kind][0]
    return pa.bool_() if kind == "bool" else pa.utf8()


def _compact(column: pa.ChunkedArray) -> pa.Array:
    chunks = column.chunks
    if len(chunks) == 1 and not chunks[0].offset:
        return chunks[0]
    # Joining two arrays copies, even when one of them is empty.
    return pa.concat_arrays([*chunks, pa.array([], column.type)])


def _buffers(array: pa.Array) -> list[memoryview]:
    """The array's buffers, cut to what its rows need."""
    rows = len(array)
    validity, *rest = array.buffers()
    views = [memoryview(validity)[: _bits(rows)] if array.null_count else memoryview(b"")]
    if pa.types.is_string(array.type):
        offsets, text = rest
        view = memoryview(offsets).cast("B")[: (rows + 1) * 4] if rows else memoryview(bytes(4))
        end = view.cast("i")[-1]
        views += [view, memoryview(text).cast("B")[:end] if end else memoryview(b"")]
    else:
        needed = _bits(rows) if pa.types.is_boolean(array.type) else rows * (array.type.bit_width // 8)
        views.append(memoryview(rest[0]).cast("B")[:needed] if needed else memoryview(b""))
    return views


def _bits(rows: int) -> int:
    return (rows + 7) // 8


class _Reader:
    """Takes buffers off the payload, in order, checking that each is as long as its rows need."""

    def __init__(self, payload: memoryview) -> None:
        self._payload = payload
        self._at = 0

    def fixed(self, lengths: list[int], rows: int, kind: pa.DataType, width: int) -> pa.Array:
        """An array of fixed-width values; ``width`` in bytes, 0 for bits."""
        validity = self._take(lengths[0], (0, _bits(rows)))
        values = self._take(lengths[1], (rows * width if width else _bits(rows),))
        return _checked(kind, rows, [validity if lengths[0] else None, values])

    def text(self, lengths: list[int], rows: int) -> pa.Array:
        validity = self._take(lengths[0], (0, _bits(rows)))
        offsets = self._take(lengths[1], ((rows + 1) * 4,))
        text = self._take(lengths[2], None)
        return _checked(pa.utf8(), rows, [validity if lengths[0] else None, offsets, text])

    def finish(self) -> None:
        if self._at != len(self._payload):
            raise MalformedColumns("there is more data than columns")

    def _take(self, length: int, expected: tuple[int, ...] | None) -> pa.Buffer:
        if length < 0 or (expected is not None and length not in expected):
            raise MalformedColumns(f"a buffer of {length} bytes is not as long as its rows need")
        end = self._at + padded(length)
        if end > len(self._payload):
            raise MalformedColumns("there is less data than columns")
        buffer = pa.py_buffer(self._payload[self._at : self._at + length])
        self._at = end
        return buffer


def _checked(kind: pa.DataType, rows: int, buffers: list[pa.Buffer | None]) -> pa.Array:
    try:
        array = pa.Array.from_buffers(kind, rows, buffers)
        array.validate(full=True)
    except (pa.ArrowException, ValueError) as error:
        raise MalformedColumns(f"a column is not valid: {error}") from None
    return array
