"""Engine sessions, and per database the one that statements are planned in.

A session costs 50 µs. All sessions of an engine share its memory pool; each query that reads tables gets a
session of its own, with the tables of its snapshot. Planning needs schemas only, and these change seldom:
a database's planning session is kept until its catalog entry is replaced.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
from datafusion import RuntimeEnvBuilder, SessionConfig, SessionContext, SQLOptions
from datafusion.catalog import Schema, Table
from headrace.query.engine_tables import CATALOG, SYSTEM_SCHEMA, USER_SCHEMA, empty_table
from headrace.query.growth import BATCH_ROWS
from headrace.query.parquet_listing import register_data_root
from headrace.query.settings import QuerySettings
from headrace.query.system_tables import SystemTables
from headrace.storage.catalog import DatabaseInfo, TableInfo
from headrace.wal.schema import TIME_COLUMN, TableSchema

READ_ONLY: Final = SQLOptions().with_allow_ddl(False).with_allow_dml(False).with_allow_statements(False)

_LEAKY_FUNCTIONS: Final = ("input_file_name", "file_row_index")
_MAX_PLANNING_SESSIONS: Final = 128

# The engine's threads: more than cores, since an operator that does not yield (a large cross join) keeps
# its thread, and other queries must go on. Read once, when the first plan runs.
os.environ.setdefault("TOKIO_WORKER_THREADS", str(max(8, 2 * (os.cpu_count() or 2))))


class Sessions:
    """Makes engine sessions with the settings' bounds."""

    def __init__(self, settings: QuerySettings, data_root: Path) -> None:
        self._data_root = data_root
        options = {
            "datafusion.execution.collect_statistics": "false",
            "datafusion.execution.sort_spill_reservation_bytes": str(min(10 << 20, settings.pool_bytes // 16)),
            "datafusion.sql_parser.map_string_types_to_utf8view": "false",
            "datafusion.optimizer.prefer_existing_union": "true",
            # Uncorrelated scalar subqueries become joins, whose scans can be seen and pruned.
            "datafusion.optimizer.enable_physical_uncorrelated_scalar_subquery": "false",
        }
        self._config = (
            SessionConfig()
            .with_create_default_catalog_and_schema(True)
            .with_default_catalog_and_schema(CATALOG, USER_SCHEMA)
            .with_information_schema(True)
            .with_target_partitions(settings.partitions)
        )
        for key, value in options.items():
            self._config = _with_option(self._config, key, value)
        # The builder holds the pool itself, not its size: all sessions made from it and from its copy share it.
        self._describing = RuntimeEnvBuilder().with_fair_spill_pool(settings.pool_bytes).with_disk_manager_os()
        self._reading = copy(self._describing)
        if settings.spill_directory is not None:
            self._reading = self._reading.with_disk_manager_specified(settings.spill_directory)

    def new(self, *, describing: bool = False, batch_rows: int = BATCH_ROWS) -> SessionContext:
        """A session without tables, in which the ``system`` schema exists.

        One for statements that may show the engine's settings is ``describing``: the spill directory,
        which the settings name, is not used in it. ``batch_rows`` bounds the batches that are computed at once.
        """
        config = self._config if batch_rows == BATCH_ROWS else copy(self._config).with_batch_size(batch_rows)
        context = SessionContext(config, self._describing if describing else self._reading)
        for name in _LEAKY_FUNCTIONS:
            context.deregister_udf(name)
        register_data_root(context, self._data_root)
        context.catalog(CATALOG).register_schema(SYSTEM_SCHEMA, Schema.memory_schema(context))
        return context


def _with_option(config: SessionConfig, key: str, value: str) -> SessionConfig:
    """The option set, if this release of the engine has it."""
    try:
        return config.set(key, value)
    except ValueError:
        return config


@dataclass(frozen=True, slots=True)
class PlanningSession:
    """A session in which every table of a database exists, without rows."""

    database: DatabaseInfo
    context: SessionContext
    tables: Mapping[int, tuple[TableSchema, Table]]
    """The user tables by id, to be taken over into the next version's session."""
    system_version: object


class PlanningSessions:
    """The planning session of each database, as of the catalog entry that a snapshot has."""

    def __init__(self, sessions: Sessions, system_tables: SystemTables) -> None:
        self._sessions = sessions
        self._system_tables = system_tables
        self._cached: dict[int, PlanningSession] = {}
        self._lock = threading.Lock()

    def session(self, database: DatabaseInfo) -> SessionContext:
        """The session for exactly this version of the database."""
        cached = self._cached.get(database.id)
        if cached is not None and cached.database is database and cached.system_version is self._system_tables.version:
            return cached.context
        with self._lock:
            made = self._make(database, cached)
            if len(self._cached) >= _MAX_PLANNING_SESSIONS:
                self._cached.pop(next(iter(self._cached)))
            self._cached[database.id] = made
        return made.context

    def _make(self, database: DatabaseInfo, previous: PlanningSession | None) -> PlanningSession:
        context = self._sessions.new(describing=True)
        catalog = context.catalog(CATALOG)
        user, system = catalog.schema(USER_SCHEMA), catalog.schema(SYSTEM_SCHEMA)
        known = previous.tables if previous is not None else {}
        tables = {}
        for info in database.tables.values():
            schema, table = known.get(info.id, (None, None))
            if schema is not info.schema or table is None:
                table = empty_table(context, client_schema(info))
            user.register_table(info.name, table)
            tables[info.id] = (info.schema, table)
        version = self._system_tables.version
        for name, schema in self._system_tables.schemas(database.name).items():
            system.register_table(name, empty_table(context, schema))
        return PlanningSession(database, context, tables, version)


def client_schema(table: TableInfo) -> pa.Schema:
    """The columns as clients see them: in the order of their names, as InfluxDB 3 has them."""
    return pa.schema(
        [
            pa.field(name, kind.arrow, nullable=name != TIME_COLUMN)
            for name, kind in sorted(table.schema.columns.items())
        ]
    )
