"""What the catalog must become before some rows can be stored, and which of them it cannot take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headrace.storage.catalog_builder import CatalogBuilder
from headrace.storage.catalog_records import AddColumns, CreateDatabase, CreateTable, Record
from headrace.storage.catalog_view import CatalogView
from headrace.storage.errors import InternalDatabase, InvalidName, LimitExceeded
from headrace.storage.limits import (
    CatalogLimits,
    too_many_columns,
    too_many_databases,
    too_many_tables,
    too_many_tags,
)
from headrace.storage.names import INTERNAL_DATABASE, check_column_name, check_database_name, check_table_name
from headrace.wal.schema import ColumnType, TableSchema

NewColumns = Mapping[str, ColumnType]
"""Columns a table lacks, in the order in which it is to get them; without ``time``, which every table has."""


@dataclass(slots=True)
class Refusal:
    """Why a table, or some columns of it, cannot be made."""

    table: LimitExceeded | InvalidName | None = None
    columns: dict[str, LimitExceeded | InvalidName] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.table is not None or bool(self.columns)

    @property
    def first(self) -> LimitExceeded | InvalidName:
        """One error that stands for all."""
        return self.table or next(iter(self.columns.values()))


class SchemaPlan:
    """Records that lead from ``view`` to a catalog with all that was admitted.

    Later questions see what was admitted before. As long as nothing new is admitted, the plan copies nothing:
    most writes change no schema.
    """

    def __init__(self, view: CatalogView, limits: CatalogLimits, now_ns: int) -> None:
        self.records: list[Record] = []
        self._view = view
        self._limits = limits
        self._now_ns = now_ns
        self._builder: CatalogBuilder | None = None
        self._table_count: int | None = None

    def schema(self, database: str, table: str) -> TableSchema | None:
        """The table's schema, if it exists or was admitted."""
        found = (self._builder or self._view).database(database)
        known = None if found is None else found.tables.get(table)
        return None if known is None else known.schema

    def check_database(self, name: str) -> None:
        """Raises InvalidDatabaseName, InternalDatabase, LimitExceeded if rows cannot go there."""
        if name == INTERNAL_DATABASE:
            raise InternalDatabase(f"cannot modify internal db {name!r}")
        if (self._builder or self._view).database(name) is not None:
            return
        check_database_name(name)
        live = len(self._view.database_ids) - 1 + sum(isinstance(record, CreateDatabase) for record in self.records)
        if live >= self._limits.databases:
            raise too_many_databases(name, self._limits.databases)

    def review(self, database: str, tables: Iterable[tuple[str, NewColumns]]) -> dict[str, Refusal]:
        """The tables and columns that cannot be made, were all of ``tables`` to be admitted in this order."""
        refusals: dict[str, Refusal] = {}
        coming = 0
        for name, new_columns in tables:
            schema = self.schema(database, name)
            if schema is not None and not new_columns:
                continue
            refusal = Refusal()
            if schema is None:
                refusal.table = self._refusal_of_table(name, coming)
                coming += refusal.table is None
            if refusal.table is None:
                refusal.columns = self._refusals_of_columns(schema or TableSchema(name), new_columns)
            if refusal:
                refusals[name] = refusal
        return refusals

    def admit(self, database: str, table: str, new_columns: NewColumns) -> int:
        """Make the table, with its database, or its new columns, where they do not exist; returns the table's id.

        What is admitted must have passed ``check_database`` and ``review``.
        """
        found = (self._builder or self._view).database(database)
        known = None if found is None else found.tables.get(table)
        columns = tuple(new_columns.items())
        if known is not None:
            if columns:
                self._add(AddColumns(known.id, columns))
            return known.id
        builder = self._build()
        if found is None:
            database_id = builder.next_id("database")
            self._add(CreateDatabase(database_id, database, self._now_ns))
        else:
            database_id = found.id
        table_id = builder.next_id("table")
        self._table_count = self._tables() + 1
        self._add(CreateTable(table_id, database_id, table, columns))
        return table_id

    def _refusal_of_table(self, name: str, coming: int) -> LimitExceeded | InvalidName | None:
        try:
            check_table_name(name)
        except InvalidName as error:
            return error
        count = self._tables() + coming
        if count >= self._limits.tables:
            return too_many_tables(name, count, self._limits.tables)
        return None

    def _refusals_of_columns(
        self, schema: TableSchema, new_columns: NewColumns
    ) -> dict[str, LimitExceeded | InvalidName]:
        refusals: dict[str, LimitExceeded | InvalidName] = {}
        count, tags = len(schema.columns) - 1, len(schema.tags)
        for name, kind in new_columns.items():
            try:
                check_column_name(name)
            except InvalidName as error:
                refusals[name] = error
                continue
            if count >= self._limits.columns_per_table:
                refusals[name] = too_many_columns(schema.name, name, self._limits.columns_per_table)
            elif kind is ColumnType.TAG and tags >= self._limits.tags_per_table:
                refusals[name] = too_many_tags(schema.name, name, self._limits.tags_per_table)
            else:
                count += 1
                tags += kind is ColumnType.TAG
        return refusals

    def _tables(self) -> int:
        """Live tables in all live databases, admitted ones included."""
        if self._table_count is None:
            self._table_count = sum(len(database.tables) for database in self._view.live_databases())
        return self._table_count

    def _build(self) -> CatalogBuilder:
        if self._builder is None:
            self._builder = CatalogBuilder(self._view)
        return self._builder

    def _add(self, record: Record) -> None:
        self._build().apply(record)
        self.records.append(record)
