"""What a running plugin can reach: the database through the server, never around it.

:class:`LiveServices` acts for a trigger; :class:`DryServices` for a test run, which queries for real and stores
nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from headrace.processing.cache import PluginCache
from headrace.processing.errors import WriteRefused
from headrace.processing.journal import Journal, LogLine
from headrace.processing.run import LogLevel, QueryAnswer
from headrace.query.engine import QueryEngine
from headrace.storage.ingest import WritePart
from headrace.storage.store import Store


class LiveServices:
    """The services of one trigger's workers."""

    def __init__(
        self, store: Store, queries: QueryEngine, cache: PluginCache, journal: Journal, database: str, trigger: str
    ) -> None:
        self._store = store
        self._queries = queries
        self._cache = cache
        self._journal = journal
        self._database = database
        self._trigger = trigger

    @property
    def cache(self) -> PluginCache:
        return self._cache

    def log(self, level: LogLevel, text: str) -> None:
        self._journal.log(LogLine(time.time_ns(), self._database, self._trigger, level, text))

    def query(
        self, sql: str, params: Mapping[str, object] | None, database: str, timeout_s: float | None
    ) -> QueryAnswer:
        return self._queries.sql(database, sql, params, timeout_s=timeout_s)

    def write_now(self, parts: Sequence[WritePart], *, no_sync: bool) -> None:
        """Write at once; raises WriteRefused if any line was bad (nothing of the call is stored then)."""
        pending = self._store.submit(parts, accept_partial=False, sync=not no_sync)
        if pending.error_count:
            error = pending.errors[0]
            raise WriteRefused(f"line {error.line_number}: {error.error_message}")
        pending.future.result()


class DryServices:
    """The services of a test run: log lines and writes are collected, within the bounds of the worker."""

    def __init__(self, queries: QueryEngine, cache: PluginCache) -> None:
        self._queries = queries
        self._cache = cache
        self._lock = threading.Lock()
        self.log_lines: list[str] = []
        self.writes: list[WritePart] = []

    @property
    def cache(self) -> PluginCache:
        return self._cache

    def log(self, level: LogLevel, text: str) -> None:
        with self._lock:
            self.log_lines.append(f"{level}: {text}")

    def query(
        self, sql: str, params: Mapping[str, object] | None, database: str, timeout_s: float | None
    ) -> QueryAnswer:
        return self._queries.sql(database, sql, params, timeout_s=timeout_s)

    def write_now(self, parts: Sequence[WritePart], *, no_sync: bool) -> None:
        with self._lock:
            self.writes.extend(parts)
