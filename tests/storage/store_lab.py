"""What a store must hold, kept by an obvious model, and what it does hold, read the slow way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from headrace.storage.snapshot import DatabaseSnapshot, TableSnapshot
from headrace.storage.store_settings import StoreSettings
from headrace.wal.schema import ColumnType, TableSchema
from headrace.wal.writer import WalSettings

Key: TypeAlias = tuple[frozenset[tuple[str, str]], int]
Table: TypeAlias = dict[Key, dict[str, Any]]


def settings(directory: Path, **changes: Any) -> StoreSettings:
    """Settings under which nothing happens by itself."""
    quiet: dict[str, Any] = {
        "data_dir": directory,
        "wal": WalSettings(preallocate=False),
        "persist_age": 1e9,
        "retention_interval": 1e9,
        "compaction_interval": 1e9,
        "delete_grace": 0.0,
        "retry_pause": 0.05,
    }
    return StoreSettings(**{**quiet, **changes})


def line(table: str, tags: Mapping[str, str], fields: Mapping[str, Any], time: int) -> str:
    keys = "".join(f",{name}={value}" for name, value in sorted(tags.items()))
    values = ",".join(f"{name}={_literal(value)}" for name, value in fields.items())
    return f"{table}{keys} {values} {time}"


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    return f'"{value}"' if isinstance(value, str) else repr(value)


class Model:
    """Duplicates merged by a dict: the newest value wins per field."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}

    def write(self, table: str, tags: Mapping[str, str], fields: Mapping[str, Any], time: int) -> None:
        row = self.tables.setdefault(table, {}).setdefault((frozenset(tags.items()), time), {})
        row.update(fields)


def contents(snapshot: DatabaseSnapshot, root: Path) -> dict[str, Table]:
    """Every row of every table, merged as a query does."""
    return {name: table_contents(table, root) for name, table in snapshot.tables.items()}


def table_contents(table: TableSnapshot, root: Path) -> Table:
    """Also checks what a snapshot promises about each of its parts."""
    rows: Table = {}
    for file in sorted(table.files, key=lambda file: file.sequence):
        data = pq.read_table(root / file.path)
        assert set(data.column_names) == file.columns
        assert (root / file.path).stat().st_size == file.size
        part = keyed(data.to_batches(), table.schema)
        assert len(part) == data.num_rows == file.rows
        check_range(part, (file.min_time, file.max_time), exact=True)
        check_order(data, table.schema)
        for tag, (least, greatest) in file.tag_ranges.items():
            values = [value for value in data.column(tag).to_pylist() if value is not None]
            assert (least, greatest) == (min(values), max(values))
        update(rows, part)
    memory = keyed(table.memory, table.schema)
    for batch in table.memory:
        assert batch.schema.equals(table.schema.arrow_schema())
        batch.validate(full=True)
    assert len(memory) == sum(batch.num_rows for batch in table.memory)
    check_range(memory, table.memory_range, exact=False)
    update(rows, memory)
    return rows


def check_range(rows: Table, bounds: tuple[int, int] | None, *, exact: bool) -> None:
    times = [time for _, time in rows]
    if bounds is None or not times:
        assert not times
        return
    assert bounds[0] <= min(times)
    assert max(times) <= bounds[1]
    assert not exact or bounds == (min(times), max(times))


def check_order(data: pa.Table, schema: TableSchema) -> None:
    names = [tag for tag in schema.tags if tag in data.column_names]
    place = data.schema.get_field_index("time")
    data = data.set_column(place, "time", data.column(place).cast(pa.int64()))
    keys = [
        [(row[name] is None, row[name] or "") for name in names] + [row["time"]]
        for row in data.select([*names, "time"]).to_pylist()
    ]
    assert keys == sorted(keys)


def update(rows: Table, newer: Table) -> None:
    for key, fields in newer.items():
        rows.setdefault(key, {}).update(fields)


def keyed(batches: Iterable[pa.RecordBatch], schema: TableSchema) -> Table:
    rows: Table = {}
    for batch in batches:
        place = batch.schema.get_field_index("time")
        plain = batch.set_column(place, "time", batch.column(place).cast(pa.int64()))
        for row in plain.to_pylist():
            present = {name: value for name, value in row.items() if value is not None}
            tags = frozenset((name, value) for name, value in present.items() if schema.columns[name] is ColumnType.TAG)
            fields = {name: value for name, value in present.items() if schema.columns[name].is_field}
            rows[tags, present["time"]] = fields
    return rows
