"""A catalog, a log and an ingest in front of it, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from headrace.storage.catalog import Catalog, CatalogLimits
from headrace.storage.ingest import Ingest, LinesPart, PendingWrite
from headrace.wal.disk import Disk
from headrace.wal.entry import CatalogChange, Entry, Frame, Rows
from headrace.wal.replay import replay
from headrace.wal.writer import Wal, WalSettings

START_NS = 1_764_115_200_000_000_000  # 2025-11-26T00:00:00Z
SECOND = 1_000_000_000


class Clock:
    """Nanoseconds since the epoch, standing still until told otherwise."""

    def __init__(self) -> None:
        self.now = START_NS

    def __call__(self) -> int:
        return self.now


class IngestLab:
    """Checks, as the buffer will, that each committed row finds its table and its columns."""

    def __init__(
        self, directory: Path, limits: CatalogLimits | None = None, disk: Disk | None = None, **settings: Any
    ) -> None:
        self.directory = directory
        self.clock = Clock()
        self.catalog = Catalog(limits)
        self.frames: list[Frame] = []
        self.lost: list[str] = []
        self.wal = Wal.open(directory, WalSettings(preallocate=False, **settings), on_commit=self._on_commit, disk=disk)
        self.ingest = Ingest(self.catalog, self.wal, self.clock)

    def write(self, database: str, lines: str, **options: Any) -> PendingWrite:
        written = self.ingest.submit([LinesPart(database, lines.encode())], **options)
        written.future.result(10)
        return written

    def rows(self, database: str, table: str) -> list[dict[str, Any]]:
        """All committed rows of a live table, in the order of the log; nulls left out."""
        info = self.catalog.table(database, table)
        batches = [entry.batch for entry in self.entries() if isinstance(entry, Rows) and entry.table_id == info.id]
        return [{name: value for name, value in row.items() if value is not None} for row in rows_of(batches)]

    def entries(self) -> list[Entry]:
        return [entry for frame in self.frames for entry in frame.entries]

    def replayed(self) -> Catalog:
        """The catalog that the log alone gives, and a check that each row is behind what makes its table."""
        catalog = Catalog()
        for frame in replay(self.directory, 0):
            for entry in frame.entries:
                if isinstance(entry, CatalogChange):
                    catalog.apply(entry.record)
                elif isinstance(entry, Rows):
                    assert _homeless(catalog, entry) is None
        return catalog

    def close(self) -> None:
        self.wal.close()
        assert self.lost == []

    def _on_commit(self, frames: Sequence[Frame]) -> None:
        self.frames.extend(frames)
        for frame in frames:
            for entry in frame.entries:
                if isinstance(entry, Rows) and (reason := _homeless(self.catalog, entry)):
                    self.lost.append(reason)


def rows_of(batches: Sequence[pa.RecordBatch]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for batch in batches:
        time = batch.schema.get_field_index("time")
        plain = batch.set_column(time, "time", batch.column(time).cast(pa.int64()))
        rows.extend(plain.to_pylist())
    return rows


def _homeless(catalog: Catalog, rows: Rows) -> str | None:
    table = catalog.table_by_id(rows.table_id)
    if table is None:
        return f"no table {rows.table_id}"
    for name in rows.batch.schema.names:
        if name not in table.schema.columns:
            return f"no column {name} in {table.name}"
        if rows.batch.schema.field(name).type != table.schema.columns[name].arrow:
            return f"type of {name} in {table.name}"
    return None
