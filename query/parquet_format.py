"""Batches as one Parquet file, sent while it is written."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

CONTENT_TYPE: Final = "application/vnd.apache.parquet"
_ROWS_A_GROUP: Final = 131_072
_BYTES_A_GROUP: Final = 32 << 20


class _Outbox(io.RawIOBase):
    """A file that keeps what is written until it is taken away."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: object) -> int:
        chunk = bytes(data)  # type: ignore[call-overload]
        self._chunks.append(chunk)
        self._position += len(chunk)
        return len(chunk)

    def take(self) -> bytes:
        taken = b"".join(self._chunks)
        self._chunks.clear()
        return taken


def encode_parquet(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    """Row groups are bounded by rows and bytes. Without rows it is a file with columns and no row groups."""
    outbox = _Outbox()
    with pq.ParquetWriter(outbox, schema, compression="zstd") as writer:
        for group in _groups(batches, schema):
            writer.write_table(group)
            yield outbox.take()
    yield outbox.take()


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        group.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= _ROWS_A_GROUP or size >= _BYTES_A_GROUP:
            yield pa.Table.from_batches(group, schema)
            group, rows, size = [], 0, 0
    if rows:
        yield pa.Table.from_batches(group, schema)
