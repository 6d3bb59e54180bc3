"""Batches as JSON objects, one a row, with a column's name for each value; nulls are left out, as InfluxDB 3 does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import orjson
import pyarrow as pa
from headrace.query.cells import JSON, cells

CONTENT_TYPE: Final = "application/json"
LINES_CONTENT_TYPE: Final = "application/jsonl"


def encode_array(batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """One JSON array of all rows."""
    opening = b"["
    for batch in batches:
        if batch.num_rows:
            yield opening + _rows(batch, b"},{")
            opening = b","
    yield b"[]" if opening == b"[" else b"]"


def encode_lines(batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """Each row on a line of its own."""
    for batch in batches:
        if batch.num_rows:
            yield _rows(batch, b"}\n{") + b"\n"


def _rows(batch: pa.RecordBatch, between: bytes) -> bytes:
    """The rows with ``}…{`` between them: one join over the cells of all columns, laid out row by row."""
    rows = batch.num_rows
    stride = 2 * batch.num_columns + 1
    parts: list[bytes] = [b""] * (stride * rows)
    parts[::stride] = [between] * rows
    parts[0] = b"{"
    before = np.zeros(rows, dtype=bool)  # whether the row has a value already, and needs a comma
    for at, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        key = orjson.dumps(name) + b":"
        texts = cells(column, JSON)
        if column.null_count == 0 and (before.all() or not before.any()):
            parts[2 * at + 1 :: stride] = [b"," + key if before[0] else key] * rows
            before[:] = True
        else:
            valid = column.is_valid().to_numpy(zero_copy_only=False)
            keys = np.array([b"", b"", key, b"," + key], dtype=object)[2 * valid.astype(np.int8) + before]
            parts[2 * at + 1 :: stride] = keys.tolist()
            if not valid.all():
                texts = np.where(valid, np.array(texts, dtype=object), b"").tolist()
            before |= valid
        parts[2 * at + 2 :: stride] = texts
    parts.append(b"}")
    return b"".join(parts)
