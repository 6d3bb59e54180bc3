"""The query engine: from a statement and a database to a stream of batches.

A statement is planned twice. First against empty tables, to learn which tables it scans and which rows it
can want (:mod:`headrace.query.plan_reader`); then against the files and the memory of one snapshot that can
hold such rows (:mod:`headrace.query.scan`). Statements that touch neither user nor system tables run on
the first plan. See ``docs/internals/query.md``.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
from datafusion import DataFrame, SessionContext
from headrace.query import growth, guard
from headrace.query.bounds import EVERYTHING, Bounds
from headrace.query.catalog_tables import CatalogTables
from headrace.query.engine_tables import (
    CATALOG,
    INFORMATION_SCHEMA,
    SYSTEM_SCHEMA,
    USER_SCHEMA,
    empty_batch,
    memory_table,
)
from headrace.query.errors import QueryClosed, QueryTimeout, StatementTooLarge, TooManyQueries
from headrace.query.failures import translate
from headrace.query.file_cache import FileCache
from headrace.query.growth import BATCH_ROWS
from headrace.query.memory_ranges import MemoryRanges
from headrace.query.parameters import BoundStatement, bind
from headrace.query.plan_reader import PlanReading, TableKey, read_plan
from headrace.query.query_log import QUERIES, QueryLog, QueryRecord
from headrace.query.result import QueryResult
from headrace.query.scan import quoted, scan_table
from headrace.query.session import READ_ONLY, PlanningSessions, Sessions
from headrace.query.settings import QuerySettings
from headrace.query.source import SnapshotSource
from headrace.query.stream import BatchStream, EngineLoop
from headrace.query.system_tables import Provider, SystemTables
from headrace.query.tokens import Token, tokenize
from headrace.storage.snapshot import DatabaseSnapshot
from headrace.wal.errors import HeadraceError

_SHOW_TABLES: Final = """
SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables
ORDER BY array_position(['iox', 'system'], table_schema), CASE table_schema
  WHEN 'information_schema' THEN CAST(array_position(
    ['tables', 'views', 'columns', 'df_settings', 'schemata', 'routines', 'parameters'], table_name) AS VARCHAR)
  ELSE table_name END"""
"""The engine lists tables in no order; InfluxDB 3 lists them in this one."""

_CLOCK_WORDS: Final = frozenset(["NOW", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "TODAY"])
_CLOCK_SLACK_NS: Final = 60_000_000_000
"""``now()`` is a little later in the second plan than in the first: files are chosen with this much to spare."""


class QueryEngine:
    """Answers SQL statements. All methods may be called from many threads at once."""

    def __init__(self, store: SnapshotSource, settings: QuerySettings | None = None) -> None:
        self._store = store
        self._settings = settings or QuerySettings()
        self._data_root = store.data_root.resolve()
        self._system_tables = SystemTables()
        self._log = QueryLog(self._settings.logged_queries)
        self._sessions = Sessions(self._settings, self._data_root)
        self._planning = PlanningSessions(self._sessions, self._system_tables)
        self._memory_ranges = MemoryRanges()
        self._file_cache = FileCache(self._data_root, self._settings.file_cache_bytes)
        self._loop = EngineLoop(self._settings.limit_bytes)
        self._permits = threading.BoundedSemaphore(self._settings.concurrent_queries)
        CatalogTables(store).register(self._system_tables)
        self._system_tables.register("queries", QUERIES, self._log.table)

    def register_system_table(
        self, name: str, schema: pa.Schema, provider: Provider, *, internal: bool = False
    ) -> None:
        """Serve ``system.NAME`` from what ``provider(database)`` returns; ``internal``: in ``_internal`` only."""
        self._system_tables.register(name, schema, provider, internal=internal)

    def close(self) -> None:
        """Stop all running queries; their readers get QueryClosed."""
        self._loop.close()

    def sql(
        self,
        database: str,
        statement: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> QueryResult:
        """Plan a statement and start to compute its result, which sees every write that was acknowledged before.

        ``timeout_s`` shortens the settings' time limit. Raises DatabaseNotFound and the errors of
        :mod:`headrace.query.errors`; those of the computation come from the result's batches.
        """
        if len(statement.encode()) > self._settings.statement_bytes:
            raise StatementTooLarge(
                f"the statement has {len(statement.encode())} bytes, more than {self._settings.statement_bytes}"
            )
        record = self._log.start(database, statement)
        try:
            tokens = tokenize(statement)
            guard.check(tokens)
            batch_rows = growth.batch_rows(tokens)
            if [token.word for token in tokens if token.text != ";"] == ["SHOW", "TABLES"]:
                statement, tokens = _SHOW_TABLES, tokenize(_SHOW_TABLES)
            bound = bind(statement, tokens, params)
            if not self._permits.acquire(timeout=self._settings.queue_timeout_s):
                raise TooManyQueries(
                    f"{self._settings.concurrent_queries} queries are running, as many as are allowed; try again later"
                )
        except BaseException:
            record.ended("fail")
            raise
        record.permitted()
        permit = _Permit(self._permits, record)
        try:
            return self._run(self._store.snapshot(database), bound, tokens, batch_rows, permit, self._budget(timeout_s))
        except BaseException:
            permit.give_back("fail")
            raise

    def _budget(self, timeout_s: float | None) -> float | None:
        limits = [limit for limit in (timeout_s, self._settings.statement_timeout_s) if limit is not None]
        return min(limits) if limits else None

    def _run(
        self,
        snapshot: DatabaseSnapshot,
        statement: BoundStatement,
        tokens: Sequence[Token],
        batch_rows: int,
        permit: _Permit,
        budget_s: float | None,
    ) -> QueryResult:
        tables = snapshot.database.tables

        def failure(error: BaseException) -> HeadraceError:
            system = (f"{SYSTEM_SCHEMA}.{name}" for name in self._system_tables.schemas(snapshot.database.name))
            return translate(error, (*tables, *system), str(self._data_root))

        try:
            context = self._planning.session(snapshot.database)
            frame = _plan(context, statement)
            planned = frame.schema()
            reading = read_plan(frame.optimized_logical_plan())
            if not reading.complete:
                reading = self._whole_tables(snapshot, statement)
            elif any(token.word in _CLOCK_WORDS for token in tokens):
                reading = PlanReading(
                    {key: bounds.later(_CLOCK_SLACK_NS) for key, bounds in reading.scans.items()}, True
                )
            user = {name: bounds for (schema, name), bounds in reading.scans.items() if _is_user(schema, name, tables)}
            files = 0
            if user or batch_rows < BATCH_ROWS or any(schema == SYSTEM_SCHEMA for schema, _ in reading.scans):
                whole = any(schema == INFORMATION_SCHEMA for schema, _ in reading.scans) or not reading.complete
                others = context if whole else None
                context, files = self._session(snapshot, user, reading.scans, others, batch_rows)
                frame = _as_planned(_plan(context, statement), planned)
            stream = frame.execute_stream()
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:
            # What the engine raises may be a panic, which is no Exception.
            raise failure(error) from None
        permit.record.planned(files)
        permit.held = (snapshot, context)
        schema = frame.schema()
        if schema.types != planned.types:
            schema = planned
        batches = BatchStream(
            self._loop,
            stream,
            schema,
            budget_s,
            failure,
            permit.end,
        )
        return QueryResult(schema, batches, frozenset(user), files)

    def _session(
        self,
        snapshot: DatabaseSnapshot,
        user: Mapping[str, Bounds],
        scans: Mapping[TableKey, Bounds],
        others: SessionContext | None,
        batch_rows: int,
    ) -> tuple[SessionContext, int]:
        """A session with the scanned tables, and how many files they have. ``others`` gives the tables around them."""
        context = self._sessions.new(describing=others is not None, batch_rows=batch_rows)
        catalog = context.catalog(CATALOG)
        user_schema, system_schema = catalog.schema(USER_SCHEMA), catalog.schema(SYSTEM_SCHEMA)
        files = 0
        for name, bounds in user.items():
            scan = scan_table(
                context,
                self._data_root,
                snapshot.tables[name],
                bounds,
                partitions=self._settings.partitions,
                memory_ranges=self._memory_ranges,
                cache=self._file_cache,
            )
            user_schema.register_table(name, scan.frame.into_view())
            files += len(scan.files)
        read = {name for schema, name in scans if schema == SYSTEM_SCHEMA}
        for name in read:
            rows = self._system_tables.read(name, snapshot.database.name)
            if rows is not None:
                batches = rows.to_batches() or [empty_batch(rows.schema)]
                system_schema.register_table(name, memory_table(context, [batches]))
        if others is not None:
            for target, known in ((user_schema, set(user)), (system_schema, read)):
                source = others.catalog(CATALOG).schema(USER_SCHEMA if target is user_schema else SYSTEM_SCHEMA)
                for name in source.table_names() - known:
                    target.register_table(name, source.table(name))
        return context, files

    def _whole_tables(self, snapshot: DatabaseSnapshot, statement: BoundStatement) -> PlanReading:
        """Every table that the statement can name, without bounds: for a plan that hides some of its scans."""
        text = statement.text.casefold()
        keys: list[TableKey] = [(None, name) for name in snapshot.tables]
        keys += [(SYSTEM_SCHEMA, name) for name in self._system_tables.schemas(snapshot.database.name)]
        named = {key: EVERYTHING for key in keys if key[1].replace('"', '""').casefold() in text}
        return PlanReading(named, complete=False)


class _Permit:
    """A place among the concurrent queries, given back once."""

    def __init__(self, permits: threading.BoundedSemaphore, record: QueryRecord) -> None:
        self.record = record
        self.held: object = None
        """What must live for as long as the engine runs: the snapshot, whose files would go, and the session."""
        self._permits = permits

    def end(self, error: HeadraceError | None) -> None:
        if error is None:
            self.give_back("success")
        else:
            self.give_back("cancel" if isinstance(error, QueryClosed | QueryTimeout) else "fail")

    def give_back(self, phase: str) -> None:
        if self.record.running:
            self.record.ended(phase)
            self.held = None
            self._permits.release()


def _plan(context: SessionContext, statement: BoundStatement) -> DataFrame:
    return context.sql_with_options(statement.text, READ_ONLY, param_values=dict(statement.values))


def _is_user(schema: str | None, name: str, tables: Mapping[str, Any]) -> bool:
    return schema in (None, USER_SCHEMA) and name in tables


def _as_planned(frame: DataFrame, planned: pa.Schema) -> DataFrame:
    """The frame with the types of the first plan, where the second one reads tags and strings as views."""
    actual = frame.schema()
    if actual.types == planned.types or len(set(actual.names)) < len(actual.names):
        return frame
    return frame.select(
        *(
            quoted(have.name) if have.type == want.type else quoted(have.name).cast(want.type).alias(have.name)
            for have, want in zip(actual, planned, strict=True)
        )
    )
