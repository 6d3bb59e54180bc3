"""Small data files that are read again and again, kept as rows in memory.

Opening a small file costs more than reading what is in it: a dashboard over the last hour asks for the
same few files every few seconds. Files never change, so nothing here grows stale; a bound on bytes keeps
it small. A file is kept when it is read for the second time, and only by queries of few files, so that a
scan of a whole table neither fills the cache nor waits for it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from headrace.storage.snapshot import DataFile
from headrace.wal.schema import TableSchema

_MAX_FILES: Final = 32
"""Queries of more files do not use the cache."""
_MAX_ROWS: Final = 20_000
_MAX_SIZE: Final = 512 << 10
_MAX_SEEN: Final = 4_096


@dataclass(frozen=True, slots=True)
class _Kept:
    schema: TableSchema
    batch: pa.RecordBatch
    size: int


class FileCache:
    """Batches of whole files, least recently used first out."""

    def __init__(self, data_root: Path, limit_bytes: int) -> None:
        self._data_root = data_root
        self._limit = limit_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes that are kept now."""
        return self._size

    def batches(self, files: Sequence[DataFile], schema: TableSchema) -> dict[str, pa.RecordBatch]:
        """What is kept of a query's files, by path, each with every column of the table in schema order.

        Reads those files that were asked for before. Raises OSError and ArrowException for a file that
        cannot be read.
        """
        if len(files) > _MAX_FILES:
            return {}
        found = {}
        for file in files:
            if file.rows <= _MAX_ROWS and file.size <= _MAX_SIZE:
                batch = self._batch(file.path, schema)
                if batch is not None:
                    found[file.path] = batch
        return found

    def _batch(self, path: str, schema: TableSchema) -> pa.RecordBatch | None:
        with self._lock:
            kept = self._kept.get(path)
            if kept is not None:
                self._kept.move_to_end(path)
            elif path not in self._seen:
                self._seen[path] = None
                if len(self._seen) > _MAX_SEEN:
                    self._seen.popitem(last=False)
                return None
        if kept is not None and kept.schema is schema:
            return kept.batch
        rows = pq.read_table(self._data_root / path, use_threads=False) if kept is None else kept.batch
        batch = _conformed(rows, schema)
        self._keep(path, _Kept(schema, batch, batch.nbytes))
        return batch

    def _keep(self, path: str, kept: _Kept) -> None:
        with self._lock:
            before = self._kept.pop(path, None)
            self._size += kept.size - (before.size if before is not None else 0)
            self._kept[path] = kept
            while self._size > self._limit:
                _, dropped = self._kept.popitem(last=False)
                self._size -= dropped.size


def _conformed(rows: pa.Table | pa.RecordBatch, schema: TableSchema) -> pa.RecordBatch:
    columns = []
    for field in schema.arrow_schema():
        if field.name not in rows.schema.names:
            columns.append(pa.nulls(rows.num_rows, pa.null()).cast(field.type))
            continue
        column = rows.column(field.name)
        if pa.types.is_dictionary(field.type) and not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        column = column.cast(field.type)
        columns.append(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
    return pa.record_batch(columns, schema=schema.arrow_schema())
