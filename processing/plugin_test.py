"""Test runs: a plugin called for real, in a worker of its own, with nothing it writes stored.

Queries go to the live database. The answer has the log lines, the lines that would have been written, what
would have been wrong with them, and what the run cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
from headrace.processing.cache import CacheScope, PluginCache
from headrace.processing.errors import InvalidTestInput
from headrace.processing.line_text import lines_by_database
from headrace.processing.run import (
    PluginResponse,
    RequestCall,
    RunOutcome,
    RunRequest,
    ScheduledCall,
    WalCall,
    WorkerSpec,
)
from headrace.processing.services import DryServices
from headrace.processing.specs import NANOSECONDS, parse_cron, parse_duration
from headrace.processing.supervisor import Worker
from headrace.query.engine import QueryEngine
from headrace.storage.errors import DatabaseNotFound
from headrace.storage.store import Store
from headrace.wal.line_protocol import Precision, parse_lines
from headrace.wal.schema import TIME_COLUMN, TableSchema

DEFAULT_CACHE: Final = "_shared_test"
DEFAULT_SCHEDULE: Final = "* * * * * *"
MAX_REAL_ROWS: Final = 100_000
"""Rows of one table that ``last`` feeds at most, the newest ones."""


@dataclass(frozen=True, slots=True)
class TestSubject:
    """What every kind of test names: the plugin file, the database, the arguments, the cache to use."""

    __test__ = False  # not a test of ours

    filename: str
    database: str
    arguments: Mapping[str, str] | None = None
    cache_name: str | None = None

    @property
    def cache(self) -> CacheScope:
        return CacheScope.for_test(self.cache_name or DEFAULT_CACHE)


@dataclass(frozen=True, slots=True)
class TestResult:
    """What a test run did. ``trigger_time`` is that of a scheduled call, ``response`` that of a request."""

    __test__ = False

    log_lines: list[str]
    database_writes: dict[str, list[str]]
    errors: list[str]
    duration_s: float
    peak_memory_bytes: int
    trigger_time: str | None = None
    response: PluginResponse | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """InfluxDB 3's keys first, ours behind them."""
        answer: dict[str, Any] = {} if self.trigger_time is None else {"trigger_time": self.trigger_time}
        if self.response is not None:
            answer["response"] = {
                "status": self.response.status,
                "headers": dict(self.response.headers),
                "body": self.response.body.decode(errors="replace"),
            }
        return answer | {
            "log_lines": self.log_lines,
            "database_writes": self.database_writes,
            "errors": self.errors,
            "duration_ms": round(self.duration_s * 1e3, 3),
            "peak_memory_bytes": self.peak_memory_bytes,
            **self.extra,
        }


class PluginTester:
    """Runs tests. ``make_spec`` gives the worker for a subject and entry point."""

    def __init__(
        self,
        store: Store,
        queries: QueryEngine,
        cache: PluginCache,
        make_spec: Callable[[TestSubject, RunRequest], WorkerSpec],
    ) -> None:
        self._store = store
        self._queries = queries
        self._cache = cache
        self._make_spec = make_spec

    def wal(self, subject: TestSubject, *, lines: str = "", last: str | None = None) -> TestResult:
        """``process_writes`` with the rows of ``lines``, or with those of the database's ``last`` stretch of time.

        Raises InvalidTestInput, DatabaseNotFound (for ``last``).
        """
        errors: list[str] = []
        if last is not None:
            batches = self._real_rows(subject.database, last)
        else:
            batches, errors = self._typed_rows(subject.database, lines)
        return self._run(subject, RunRequest(WalCall(batches), subject.arguments or None), errors)

    def schedule(self, subject: TestSubject, schedule: str | None = None) -> TestResult:
        """``process_scheduled_call`` with the next time of a cron expression (default: the next second)."""
        spec = parse_cron(schedule or DEFAULT_SCHEDULE)
        fire = spec.next_fire(time.time_ns())
        self._store.catalog.database(subject.database)
        request = RunRequest(ScheduledCall(fire), subject.arguments or None)
        at = datetime.fromtimestamp(fire // NANOSECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self._run(subject, request, [], trigger_time=at)

    def request(self, subject: TestSubject, call: RequestCall) -> TestResult:
        """``process_request`` with the request's parts."""
        self._store.catalog.database(subject.database)
        return self._run(subject, RunRequest(call, subject.arguments or None), [])

    def _run(
        self, subject: TestSubject, request: RunRequest, errors: list[str], trigger_time: str | None = None
    ) -> TestResult:
        services = DryServices(self._queries, self._cache)
        worker = Worker(self._make_spec(subject, request), services)
        try:
            outcome = worker.run(request)
        finally:
            worker.stop()
        if outcome.error is not None:
            errors.append(_error_text(outcome))
        writes = lines_by_database([*services.writes, *outcome.writes])
        for database, written in writes.items():
            errors.extend(self._objections(database, written))
        return TestResult(
            services.log_lines,
            writes,
            errors,
            outcome.duration_s,
            outcome.peak_memory_bytes,
            trigger_time,
            outcome.response,
            {"log_lines_dropped": outcome.log_lines_dropped} if outcome.log_lines_dropped else {},
        )

    def _typed_rows(self, database: str, text: str) -> tuple[list[tuple[str, pa.RecordBatch]], list[str]]:
        if not text.strip():
            raise InvalidTestInput("there is no line protocol to test with: give --lp, --file or --last")
        parsed = parse_lines(
            text.encode(), self._schemas(database), precision=Precision.NANOSECOND, default_time_ns=time.time_ns()
        )
        if not parsed.rows:
            error = parsed.errors[0]
            raise InvalidTestInput(f"line {error.line_number}: {error.error_message}: {error.original_line}")
        errors = [f"line {error.line_number} of the input: {error.error_message}" for error in parsed.errors]
        return [(table.name, table.batch) for table in parsed.tables], errors

    def _real_rows(self, database: str, last: str) -> list[tuple[str, pa.RecordBatch]]:
        try:
            span = parse_duration(last)
        except ValueError as error:
            raise InvalidTestInput(f"--last: {error}") from None
        since = time.time_ns() - span
        found: list[tuple[str, pa.RecordBatch]] = []
        for table in self._store.catalog.database(database).tables.values():
            name = table.name.replace('"', '""')
            answer = self._queries.sql(
                database,
                f"SELECT * FROM \"{name}\" WHERE {TIME_COLUMN} >= arrow_cast({since}, 'Timestamp(Nanosecond, None)') "
                f"ORDER BY {TIME_COLUMN} DESC LIMIT {MAX_REAL_ROWS}",
            )
            rows = answer.read_all().sort_by(TIME_COLUMN).unify_dictionaries().combine_chunks()
            found.extend((table.name, batch) for batch in rows.to_batches()[:1] if batch.num_rows)
        if not found:
            raise InvalidTestInput(f"database '{database}' has no rows of the last {last}")
        return found

    def _schemas(self, database: str) -> Callable[[str], TableSchema | None]:
        try:
            tables = self._store.catalog.database(database).tables
        except DatabaseNotFound:
            return lambda name: None
        return lambda name: tables[name].schema if name in tables else None

    def _objections(self, database: str, lines: list[str]) -> list[str]:
        """What a write of ``lines`` would be told."""
        parsed = parse_lines(
            "\n".join(lines).encode(),
            self._schemas(database),
            precision=Precision.NANOSECOND,
            default_time_ns=time.time_ns(),
        )
        return [
            f"write to '{database}', line {error.line_number}: {error.error_message}: {error.original_line}"
            for error in parsed.errors
        ]


def _error_text(outcome: RunOutcome) -> str:
    assert outcome.error is not None
    return f"{outcome.error.message}\n{outcome.traceback}".rstrip()
