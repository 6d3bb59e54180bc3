"""The ``system`` schema: tables whose rows are made when a query reads them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from headrace.storage.names import INTERNAL_DATABASE

Provider = Callable[[str], pa.Table]
"""Makes a table's rows for the database of that name. Called in the thread of the query."""


@dataclass(frozen=True, slots=True)
class SystemTable:
    schema: pa.Schema
    provider: Provider
    internal: bool
    """Only in the ``_internal`` database: it tells of the whole server."""


class SystemTables:
    """The registered system tables."""

    def __init__(self) -> None:
        self._tables: Mapping[str, SystemTable] = {}
        self._lock = threading.Lock()

    @property
    def version(self) -> object:
        """Another object after each registration."""
        return self._tables

    def register(self, name: str, schema: pa.Schema, provider: Provider, *, internal: bool = False) -> None:
        """Serve ``system.NAME``, in the place of a table of that name registered before."""
        with self._lock:
            self._tables = {**self._tables, name: SystemTable(schema, provider, internal)}

    def schemas(self, database: str) -> dict[str, pa.Schema]:
        """The tables that the database has, in the order of their names."""
        return {name: table.schema for name, table in sorted(self._tables.items()) if _visible(table, database)}

    def read(self, name: str, database: str) -> pa.Table | None:
        """The rows as of now, in the columns of the table's schema; None if the database has no such table."""
        table = self._tables.get(name)
        if table is None or not _visible(table, database):
            return None
        return table.provider(database).select(table.schema.names).cast(table.schema)


def _visible(table: SystemTable, database: str) -> bool:
    return not table.internal or database == INTERNAL_DATABASE


SECONDS_UTC: Final = pa.timestamp("s", tz="UTC")
MILLISECONDS: Final = pa.timestamp("ms")
