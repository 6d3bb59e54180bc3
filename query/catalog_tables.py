"""System tables that show what the storage holds, with the columns that InfluxDB 3 gives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa
from headrace.query.source import SnapshotSource
from headrace.query.system_tables import MILLISECONDS, SECONDS_UTC, SystemTables
from headrace.storage.catalog import DatabaseInfo, TableInfo
from headrace.wal.schema import ColumnType

_INFLUX_TYPES: Final[Mapping[ColumnType, str]] = {
    ColumnType.TIME: "time",
    ColumnType.TAG: "tag",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.INTEGER: "integer",
    ColumnType.UINTEGER: "uinteger",
    ColumnType.FLOAT: "float",
    ColumnType.STRING: "string",
}


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name.rstrip("_"), kind) for name, kind in columns.items()])


PARQUET_FILES: Final = _schema(
    table_name=pa.utf8(),
    path=pa.utf8(),
    size_bytes=pa.uint64(),
    row_count=pa.uint64(),
    min_time=pa.int64(),
    max_time=pa.int64(),
)
INFLUXDB_SCHEMA: Final = _schema(measurement=pa.utf8(), key=pa.utf8(), data_type=pa.utf8())
DATABASES: Final = _schema(
    database_name=pa.utf8(), retention_period_ns=pa.uint64(), deleted=pa.bool_(), hard_deletion_time=SECONDS_UTC
)
TABLES: Final = _schema(
    database_name=pa.utf8(),
    table_name=pa.utf8(),
    column_count=pa.uint64(),
    series_key_columns=pa.utf8(),
    last_cache_count=pa.uint64(),
    distinct_cache_count=pa.uint64(),
    deleted=pa.bool_(),
    hard_deletion_time=SECONDS_UTC,
)
TOKENS: Final = _schema(
    token_id=pa.uint64(),
    name=pa.utf8(),
    hash=pa.utf8(),
    created_at=MILLISECONDS,
    description=pa.utf8(),
    created_by_token_id=pa.uint64(),
    updated_at=MILLISECONDS,
    updated_by_token_id=pa.uint64(),
    expiry=MILLISECONDS,
    permissions=pa.utf8(),
)
LAST_CACHES: Final = _schema(
    table=pa.utf8(),
    name=pa.utf8(),
    key_column_ids=pa.list_(pa.uint16()),
    key_column_names=pa.list_(pa.utf8()),
    value_column_ids=pa.list_(pa.uint16()),
    value_column_names=pa.list_(pa.utf8()),
    count=pa.uint64(),
    ttl=pa.uint64(),
)
DISTINCT_CACHES: Final = _schema(
    table=pa.utf8(),
    name=pa.utf8(),
    column_ids=pa.list_(pa.uint16()),
    column_names=pa.list_(pa.utf8()),
    max_cardinality=pa.uint64(),
    max_age_seconds=pa.uint64(),
)


class CatalogTables:
    """Reads the tables above from a snapshot or from the catalog."""

    def __init__(self, source: SnapshotSource) -> None:
        self._source = source

    def register(self, tables: SystemTables) -> None:
        tables.register("parquet_files", PARQUET_FILES, self.parquet_files)
        tables.register("influxdb_schema", INFLUXDB_SCHEMA, self.influxdb_schema)
        # Clients ask every server for its caches; this one has none.
        tables.register("last_caches", LAST_CACHES, lambda _: LAST_CACHES.empty_table())
        tables.register("distinct_caches", DISTINCT_CACHES, lambda _: DISTINCT_CACHES.empty_table())
        tables.register("databases", DATABASES, self.databases, internal=True)
        tables.register("tables", TABLES, self.tables, internal=True)
        tables.register("tokens", TOKENS, self.tokens, internal=True)

    def parquet_files(self, database: str) -> pa.Table:
        snapshot = self._source.snapshot(database)
        return _table(
            PARQUET_FILES,
            (
                (name, file.path, file.size, file.rows, file.min_time, file.max_time)
                for name in sorted(snapshot.tables)
                for file in snapshot.tables[name].files
            ),
        )

    def influxdb_schema(self, database: str) -> pa.Table:
        tables = self._source.snapshot(database).database.tables
        return _table(
            INFLUXDB_SCHEMA,
            (
                (name, column, _INFLUX_TYPES[kind])
                for name, info in sorted(tables.items())
                for column, kind in sorted(info.schema.columns.items())
            ),
        )

    def databases(self, _: str) -> pa.Table:
        return _table(
            DATABASES,
            (
                (each.name, each.retention_ns, each.deleted, _seconds(each.hard_delete_ns))
                for each in self._source.catalog.databases(include_deleted=True)
            ),
        )

    def tables(self, _: str) -> pa.Table:
        return _table(
            TABLES,
            (
                (
                    database.name,
                    table.name,
                    len(table.schema.columns),
                    ", ".join(table.schema.tags),
                    0,
                    0,
                    table.deleted,
                    _seconds(table.hard_delete_ns),
                )
                for database in self._source.catalog.databases(include_deleted=True)
                for table in _all_tables(database)
            ),
        )

    def tokens(self, _: str) -> pa.Table:
        return _table(
            TOKENS,
            (
                (
                    token.id,
                    token.name,
                    token.hash,
                    _milliseconds(token.created_ns),
                    None,
                    None,
                    _milliseconds(token.updated_ns),
                    None,
                    _milliseconds(token.expires_ns),
                    ",".join(token.permissions),
                )
                for token in self._source.catalog.tokens()
            ),
        )


def _all_tables(database: DatabaseInfo) -> list[TableInfo]:
    return sorted(
        (*database.tables.values(), *database.deleted_tables.values()), key=lambda table: (table.name, table.id)
    )


def _seconds(nanoseconds: int | None) -> int | None:
    return None if nanoseconds is None else nanoseconds // 1_000_000_000


def _milliseconds(nanoseconds: int | None) -> int | None:
    return None if nanoseconds is None else nanoseconds // 1_000_000


def _table(schema: pa.Schema, rows: Iterable[tuple[Any, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
