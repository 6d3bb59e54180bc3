"""The only way into the log: rows and changes of the catalog, checked, put in order, in one atomic frame.

A write is parsed against the catalog as it is. If it needs nothing new there, it goes to the log without any
lock. If it needs a database, a table or a column, the records that make them travel in the write's own frame,
before its rows: nothing is ever made for rows that are not stored.

Who makes something new holds ``catalog.lock`` from the look at the catalog to the log's queue. Room in the
queue is reserved before the lock is taken, so the lock is never held while waiting for the disk. When the
catalog has changed since the write was parsed, it is parsed again under the lock; that is rare.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import pyarrow as pa
from headrace.storage.catalog import Catalog
from headrace.storage.catalog_records import Record, encode_record
from headrace.storage.catalog_view import CatalogView
from headrace.storage.errors import InvalidLines, StorageError
from headrace.storage.refused_lines import RefusedLines
from headrace.storage.schema_plan import SchemaPlan
from headrace.storage.table_columns import fit_columns
from headrace.wal.entry import CatalogChange, CursorMove, Entry, Rows
from headrace.wal.line_protocol import LineError, ParsedLines, Precision, parse_lines
from headrace.wal.schema import TableSchema
from headrace.wal.writer import Wal

# After this many attempts to keep the good lines of a write whose bad ones hide each other, it is refused.
_MAX_ROUNDS: Final = 8
# What a frame takes beside its rows, and a write beside its body, roughly.
_OVERHEAD: Final = 1 << 12


@dataclass(frozen=True, slots=True)
class LinesPart:
    """Line protocol for one database. Lines without a timestamp get ``default_time_ns`` (default: now)."""

    database: str
    body: bytes | bytearray | memoryview
    precision: Precision = Precision.AUTO
    default_time_ns: int | None = None


@dataclass(frozen=True, slots=True)
class TablePart:
    """Columns for one table; :mod:`headrace.storage.table_columns` says which types are taken.

    ``tags`` names the tag columns; their order is the sort order of a table that this part creates.
    """

    database: str
    table: str
    data: pa.RecordBatch
    tags: tuple[str, ...]


WritePart: TypeAlias = LinesPart | TablePart


@dataclass(frozen=True, slots=True)
class PendingWrite:
    """What became of a write. Line numbers in ``errors`` count within each part."""

    rows: int
    """Rows on their way into the log."""
    errors: tuple[LineError, ...]
    """Lines that were refused, up to the parser's bound a part."""
    error_count: int
    """All lines that were refused."""
    stored: bool
    """Whether there is a frame; False when every line was refused, or one was and that was enough."""
    future: Future[int]
    """Resolves with the frame's sequence once it is durable; 0 if there is no frame."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    plan: SchemaPlan
    rows: tuple[Rows, ...]
    errors: tuple[LineError, ...]
    error_count: int

    def entries(self, cursor: CursorMove | None) -> list[Entry]:
        changes = [CatalogChange(encode_record(record)) for record in self.plan.records]
        return [*changes, *self.rows, *(() if cursor is None else (cursor,))]


class Ingest:
    """See the module. All methods may be called from any thread.

    ``clock`` gives nanoseconds since the epoch. ``admit`` is called with the size in bytes of each write that
    carries rows, and its timeout, outside every lock, and may wait for memory or raise.
    """

    def __init__(
        self,
        catalog: Catalog,
        wal: Wal,
        clock: Callable[[], int] = time.time_ns,
        *,
        admit: Callable[[int, float | None], None] | None = None,
    ) -> None:
        self.catalog = catalog
        self.clock = clock
        self._wal = wal
        self._admit = admit

    def submit(
        self,
        parts: Sequence[WritePart],
        *,
        accept_partial: bool = True,
        sync: bool = True,
        cursor: CursorMove | None = None,
        timeout: float | None = None,
    ) -> PendingWrite:
        """Store all parts and move ``cursor`` in one atomic frame, making what the catalog lacks.

        Lines that cannot be parsed, or whose table or columns cannot be made, are reported; the others are
        stored, unless ``accept_partial`` is False: then one bad line is enough that nothing is stored and
        the cursor stays. With ``sync=False`` the future does not wait for the disk's cache.

        Raises, with nothing stored: InvalidDatabaseName, InternalDatabase and LimitExceeded for a database
        that cannot be made; InvalidColumns, InvalidName and LimitExceeded for a TablePart; InvalidLines,
        InvalidName and LimitExceeded for a body whose good lines cannot be told from the bad ones
        (:mod:`headrace.storage.refused_lines`); each with ``part`` set. WalFull after ``timeout`` seconds
        (default: the log's setting) without room; WalFailed, WalClosed, FrameTooLarge; what ``admit`` raises.
        """
        now = self.clock()
        view = self.catalog.view
        prepared = self._prepare(parts, view, now)
        if (found := _finished(prepared, accept_partial, cursor)) is not None:
            return found
        size = _size(parts)
        if self._admit is not None and prepared.rows:
            self._admit(size, timeout)
        if not prepared.plan.records:
            future = self._wal.submit(prepared.entries(cursor), sync=sync, timeout=timeout)
            return _pending(prepared, future)
        with self._wal.reserve(size, timeout=timeout) as reservation, self.catalog.lock:
            if self.catalog.view is not view:
                prepared = self._prepare(parts, self.catalog.view, now)
                if (found := _finished(prepared, accept_partial, cursor)) is not None:
                    return found
            entries = prepared.entries(cursor)
            with self.catalog.advancing(prepared.plan.records):
                future = self._wal.submit(entries, sync=sync, reservation=reservation)
        return _pending(prepared, future)

    def change(self, plan: Callable[[Catalog], Sequence[Record | CursorMove]]) -> Future[int]:
        """Change the catalog, and move cursors, in one frame.

        ``plan`` is called with ``catalog.lock`` held: what it sees cannot change before what it returns
        is applied. It raises to refuse, and returns nothing if there is nothing to do; the future then
        gives 0. Raises what ``plan`` raises, WalFull, WalFailed, WalClosed.
        """
        with self._wal.reserve() as reservation, self.catalog.lock:
            planned = plan(self.catalog)
            if not planned:
                return _resolved()
            moves = [each for each in planned if isinstance(each, CursorMove)]
            records = [each for each in planned if not isinstance(each, CursorMove)]
            entries: list[Entry] = [*(CatalogChange(encode_record(record)) for record in records), *moves]
            with self.catalog.advancing(records):
                return self._wal.submit(entries, reservation=reservation)

    def _prepare(self, parts: Sequence[WritePart], view: CatalogView, now_ns: int) -> _Prepared:
        plan = SchemaPlan(view, self.catalog.limits, now_ns)
        rows: list[Rows] = []
        errors: list[LineError] = []
        error_count = 0
        for part in parts:
            try:
                plan.check_database(part.database)
                if isinstance(part, LinesPart):
                    parsed = _parse(part, plan, now_ns)
                    for table in parsed.tables:
                        if table.batch.num_rows:
                            rows.append(Rows(plan.admit(part.database, table.name, table.new_columns), table.batch))
                    errors.extend(parsed.errors)
                    error_count += parsed.error_count
                elif part.data.num_rows:
                    rows.append(_fit(part, plan, now_ns))
            except StorageError as error:
                error.part = part
                raise
        return _Prepared(plan, tuple(rows), tuple(errors), error_count)


def _parse(part: LinesPart, plan: SchemaPlan, now_ns: int) -> ParsedLines:
    """Parse a body; lines for which the catalog cannot make room become line errors."""
    default_time = now_ns if part.default_time_ns is None else part.default_time_ns
    database = part.database

    def parse(refused: RefusedLines | None) -> ParsedLines:
        def schemas(table: str) -> TableSchema | None:
            schema = plan.schema(database, table)
            return schema if refused is None else refused.schema(table, schema)

        return parse_lines(part.body, schemas, precision=part.precision, default_time_ns=default_time)

    parsed = parse(None)
    refused: RefusedLines | None = None
    for _ in range(_MAX_ROUNDS):
        refusals = plan.review(database, ((table.name, table.new_columns) for table in parsed.tables))
        evading = refused is not None and refused.change_decoys(parsed.tables)
        if not refusals and not evading:
            break
        refused = refused or RefusedLines(part.body)
        refused.add(refusals, parsed.tables)
        parsed = parse(refused)
    else:
        raise InvalidLines("the bad lines of this write hide each other; send fewer lines at a time")
    return parsed if refused is None else replace(parsed, errors=refused.explain(parsed.errors))


def _fit(part: TablePart, plan: SchemaPlan, now_ns: int) -> Rows:
    fitted = fit_columns(part.table, part.data, part.tags, plan.schema(part.database, part.table), now_ns)
    refusals = plan.review(part.database, [(part.table, fitted.new_columns)])
    if refusals:
        raise refusals[part.table].first
    return Rows(plan.admit(part.database, part.table, fitted.new_columns), fitted.batch)


def _size(parts: Sequence[WritePart]) -> int:
    """About how many bytes the parts take, in the log as in memory."""
    return _OVERHEAD + sum(len(part.body) if isinstance(part, LinesPart) else part.data.nbytes for part in parts)


def _finished(prepared: _Prepared, accept_partial: bool, cursor: CursorMove | None) -> PendingWrite | None:
    """The outcome of a write that needs no frame."""
    refused = prepared.error_count > 0 and not accept_partial
    if refused or (not prepared.rows and cursor is None):
        return PendingWrite(0, prepared.errors, prepared.error_count, stored=False, future=_resolved())
    return None


def _pending(prepared: _Prepared, future: Future[int]) -> PendingWrite:
    rows = sum(each.batch.num_rows for each in prepared.rows)
    return PendingWrite(rows, prepared.errors, prepared.error_count, stored=True, future=future)


def _resolved() -> Future[int]:
    future: Future[int] = Future()
    future.set_result(0)
    return future
