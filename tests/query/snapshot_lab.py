"""Databases made by hand for tests of the query engine: real Parquet files and real batches, no log beneath."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from headrace.storage.catalog import Catalog, DatabaseInfo, TableInfo
from headrace.storage.errors import DatabaseNotFound
from headrace.storage.snapshot import DatabaseSnapshot, DataFile, MemoryRows, TableSnapshot
from headrace.wal.schema import ColumnType, TableSchema

Rows = Sequence[Mapping[str, Any]]
"""Rows as dicts: ``time`` in nanoseconds, tags and fields by name; absent ones are null."""


class LabTable:
    def __init__(self, table_id: int, schema: TableSchema, root: Path) -> None:
        self.info = TableInfo(table_id, 1, schema)
        self.files: list[DataFile] = []
        self.memory: list[pa.RecordBatch] = []
        self.min_time_ns: int | None = None
        self._root = root

    @property
    def schema(self) -> TableSchema:
        return self.info.schema

    def arrow(self, rows: Rows | pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows as a table of the given columns (all, if None)."""
        schema = self.schema.arrow_schema()
        if columns is not None:
            schema = pa.schema([field for field in schema if field.name in columns])
        if isinstance(rows, pa.Table):
            return rows.select(schema.names).cast(schema)
        plain = pa.schema([(f.name, pa.utf8() if pa.types.is_dictionary(f.type) else f.type) for f in schema])
        return pa.Table.from_pylist([dict(row) for row in rows], schema=plain).cast(schema)

    def add_file(self, rows: Rows | pa.Table, columns: Sequence[str] | None = None) -> DataFile:
        """A new file, newer than all before, sorted as persisted files are."""
        table = self.arrow(rows, columns)
        plain = table.cast(
            pa.schema([(f.name, pa.utf8() if pa.types.is_dictionary(f.type) else f.type) for f in table.schema])
        )
        tags = [tag for tag in self.schema.tags if tag in plain.schema.names]
        plain = plain.sort_by([(name, "ascending") for name in (*tags, "time")])
        number = len(self.files) + 1
        path = f"db one/{self.info.id}/{number:04} ä%.parquet"
        (self._root / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(plain, self._root / path, compression="zstd", row_group_size=131_072, write_page_index=True)
        times = plain["time"].cast(pa.int64())
        file = DataFile(
            path=path,
            size=(self._root / path).stat().st_size,
            rows=plain.num_rows,
            min_time=pc.min(times).as_py(),
            max_time=pc.max(times).as_py(),
            sequence=number,
            columns=frozenset(plain.schema.names),
            tag_ranges={
                tag: (pc.min(plain[tag]).as_py(), pc.max(plain[tag]).as_py())
                for tag in tags
                if plain[tag].null_count < plain.num_rows
            },
        )
        self.files.append(file)
        return file

    def add_memory(self, rows: Rows | pa.Table) -> None:
        self.memory.extend(self.arrow(rows).to_batches())

    def _current(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with all columns that the table has by now."""
        schema = self.schema.arrow_schema()
        if batch.schema == schema:
            return batch
        missing = pa.nulls(batch.num_rows)
        columns = [batch[f.name] if f.name in batch.schema.names else missing.cast(f.type) for f in schema]
        return pa.record_batch(columns, schema=schema)

    def snapshot(self) -> TableSnapshot:
        memory = [self._current(batch) for batch in self.memory]
        times = [batch["time"].cast(pa.int64()) for batch in memory]
        bounds = (min(pc.min(t).as_py() for t in times), max(pc.max(t).as_py() for t in times)) if times else None
        return TableSnapshot(
            self.schema,
            tuple(self.files),
            MemoryRows(tuple(memory), bounds),
            table_id=self.info.id,
            min_time_ns=self.min_time_ns,
        )


class SnapshotLab:
    """A :class:`headrace.query.source.SnapshotSource` with one database, ``db``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.catalog = Catalog()
        self.tables: dict[str, LabTable] = {}
        self._database = DatabaseInfo(1, "db", created_ns=0)
        self._lock = threading.Lock()

    @property
    def data_root(self) -> Path:
        return self._root

    def table(self, name: str, **columns: str) -> LabTable:
        """A new table; columns are ``tag``, ``float64``, ``int64``, ``uint64``, ``bool`` or ``utf8``."""
        kinds = {column: ColumnType(kind) for column, kind in columns.items()} | {"time": ColumnType.TIME}
        self.tables[name] = LabTable(len(self.tables) + 1, TableSchema(name, kinds), self._root)
        self._refresh()
        return self.tables[name]

    def grow(self, name: str, **columns: str) -> None:
        """Add columns to a table."""
        table = self.tables[name]
        added = {column: ColumnType(kind) for column, kind in columns.items()}
        with self._lock:
            table.info = TableInfo(table.info.id, 1, table.schema.with_columns(added))
            self._refresh()

    def _refresh(self) -> None:
        infos = {name: table.info for name, table in self.tables.items()}
        self._database = DatabaseInfo(1, "db", created_ns=0, tables=infos)

    def snapshot(self, database: str) -> DatabaseSnapshot:
        if database == "_internal":
            return DatabaseSnapshot(self.catalog.database(database), (), {}.__getitem__)
        if database != "db":
            raise DatabaseNotFound(f"database not found: {database}")
        with self._lock:
            made = {name: table.snapshot() for name, table in self.tables.items()}
            return DatabaseSnapshot(self._database, tuple(made), made.__getitem__)
