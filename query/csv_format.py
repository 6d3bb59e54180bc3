"""Batches as comma-separated values: a header line, nothing for nulls, quotes only where they are needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa
from headrace.query.cells import TEXT, cells

CONTENT_TYPE: Final = "text/csv"


def encode_csv(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    """The header comes with the first rows; a result without any has an empty body, as InfluxDB 3's."""
    header = b",".join(_field(name) for name in schema.names) + b"\n"
    for batch in batches:
        if batch.num_rows:
            yield header + _rows(batch)
            header = b""


def _rows(batch: pa.RecordBatch) -> bytes:
    columns = [_column(column) for column in batch.columns]
    if len(columns) == 1:
        return b"\n".join(cell or b'""' for cell in columns[0]) + b"\n"
    return b"\n".join(map(b",".join, zip(*columns, strict=True))) + b"\n"


def _column(column: pa.Array[Any]) -> list[bytes]:
    texts = cells(column, _STYLE)
    if pa.types.is_nested(column.type):
        return [_quoted(text) for text in texts]
    return texts


def _field(value: str) -> bytes:
    return _quoted(value.encode())


def _quoted(text: bytes) -> bytes:
    if any(special in text for special in (b",", b'"', b"\n", b"\r")):
        return b'"%b"' % text.replace(b'"', b'""')
    return text


_STYLE: Final = replace(TEXT, string=_field, special='[,"\r\n]')
