"""Batches cut into pieces whose texts fit into memory.

Rows are few and large when they hold lists or long strings: eight thousand of them may be more than the server
has, and one list can have as many values as a table has rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa
from headrace.query.errors import ResultTooLarge

_ROWS: Final = 8_192
_BYTES: Final = 16 << 20
_MAX_ROW_BYTES: Final = 64 << 20


def in_pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The rows of the batches; a batch without rows stays one. Raises ResultTooLarge at a row of more than 64 MiB."""
    for batch in batches:
        for start in range(0, max(1, batch.num_rows), _ROWS):
            yield from _cut(batch.slice(start, _ROWS))


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    size = sum(map(_size, batch.columns))
    if size > _BYTES and batch.num_rows > 1:
        half = batch.num_rows // 2
        yield from _cut(batch.slice(0, half))
        yield from _cut(batch.slice(half))
        return
    if size > _MAX_ROW_BYTES:
        raise ResultTooLarge(
            f"a row of the result takes {size >> 20} MiB, more than {_MAX_ROW_BYTES >> 20} MiB: "
            "select rows in the place of lists, or unnest() them"
        )
    yield batch


def _size(array: pa.Array[Any]) -> int:
    """Bytes, and eight more for each value, whose text takes some even if the value is one bit."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return 8 * len(array)  # of texts that the rows share
    if pa.types.is_struct(kind):
        return 8 * len(array) + sum(map(_size, array.flatten()))
    if pa.types.is_nested(kind) and hasattr(array, "flatten"):
        return 8 * len(array) + _size(array.flatten())
    return 8 * len(array) + int(array.nbytes)
