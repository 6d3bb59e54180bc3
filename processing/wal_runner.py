"""WAL triggers: rows in the order of the log, each exactly once.

The runner reads committed frames behind its cursor, calls the plugin with the rows of its tables, and commits
what the plugin wrote in one frame with the cursor's move. A crash at any instant leaves both done or neither;
what is not done is read again after the restart.

With ``run_asynchronous`` several batches are processed at once, by workers of their own, but committed in the
order of the log: so the cursor never passes a batch that is not done, and exactly-once holds as before.

A run that could not begin because the plugin was not to be had is no failed run: it is tried again until it can,
unless the trigger is to be disabled by any error.

Frames without rows for the trigger move its position only; the store writes that down when it persists.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from headrace.processing.errors import PluginUnavailable, RunCancelled
from headrace.processing.run import RunOutcome, WalCall
from headrace.processing.runner import LoopRunner, RunnerContext
from headrace.processing.settings import ErrorBehavior
from headrace.processing.specs import TableSpec
from headrace.processing.trigger import Trigger
from headrace.processing.worker_pool import WorkerPool
from headrace.storage.errors import DatabaseNotFound
from headrace.wal.entry import CursorMove, Frame, Rows
from headrace.wal.errors import WalError, WalTrimmed

_MAX_TICK_WAIT: Final = 60.0


@dataclass(slots=True)
class _Batch:
    """Rows under way: everything of the trigger's tables up to ``through``."""

    through: int
    call: WalCall
    future: Future[RunOutcome]
    attempt: int = 0


class WalRunner(LoopRunner):
    """See the module's docstring."""

    def __init__(self, trigger: Trigger, pool: WorkerPool, context: RunnerContext) -> None:
        super().__init__(trigger, pool, context)
        self._under_way: deque[_Batch] = deque()
        cursor = context.store.cursor(trigger.id)
        self._position = context.store.wal.last_sequence if cursor is None else cursor
        self._read_through = self._position
        self._behind_since: float | None = None

    def _lag_sequences(self) -> int | None:
        return max(0, self._context.store.wal.last_sequence - self._position)

    def _lag_seconds(self) -> float | None:
        since = self._behind_since
        return 0.0 if since is None else time.monotonic() - since

    def _loop(self) -> None:
        try:
            while not self._stop.is_set():
                self._fill()
                if not self._under_way:
                    self._stop.wait(self._until_tick())
                    continue
                head = self._under_way[0]
                wait([head.future], timeout=self._until_tick())
                if head.future.done() and not self._finish(head):
                    return
        except RunCancelled as cancelled:
            if not self._stop.is_set():
                self.log("ERROR", f"the trigger stops: {cancelled.message}")
        except DatabaseNotFound:
            self.log("INFO", "the trigger stops: its database was deleted")
        except WalError as error:
            self.log("ERROR", f"the trigger stops: {error.message}")
        except Exception:
            self.log("ERROR", "the trigger stops because of an internal error; see the server's log")
            raise
        finally:
            self._set_state("stopped")

    def _until_tick(self) -> float:
        interval = self._context.settings.flush_interval_s
        return min(_MAX_TICK_WAIT, interval - time.time() % interval)

    def _fill(self) -> None:
        """Start as many batches as may be under way, while there are rows."""
        while len(self._under_way) < self._pool.size and not self._stop.is_set():
            batch = self._next_batch()
            if batch is None:
                return
            self._under_way.append(batch)

    def _next_batch(self) -> _Batch | None:
        store = self._context.store
        while not self._stop.is_set():
            # In this order: a table with rows up to `last` is in the catalog by then.
            last = store.wal.last_sequence
            if self._read_through >= last:
                self._note_lag()
                return None
            if self._behind_since is None:
                self._behind_since = time.monotonic()
            tables = self._tables()
            try:
                frames = store.read(
                    self._read_through, limit_bytes=self._context.settings.batch_bytes, table_ids=tables.keys()
                )
            except WalTrimmed as trimmed:
                lost = trimmed.first_retained - 1 - self._read_through
                self.log(
                    "ERROR",
                    f"{lost} frames of the log were deleted before the trigger had seen them: "
                    "it was further behind than the log is kept",
                )
                self._read_through = trimmed.first_retained - 1
                continue
            if not frames:
                return None
            self._read_through = min(frames[-1].sequence, last)
            call = WalCall(gather([frame for frame in frames if frame.sequence <= last], tables))
            if call.batches:
                return _Batch(self._read_through, call, self._executor.submit(self._run, call))
            if not self._under_way:
                self._advance(self._read_through)
        return None

    def _note_lag(self) -> None:
        if not self._under_way:
            self._behind_since = None

    def _tables(self) -> Mapping[int, str]:
        """Ids and names of the tables whose rows the trigger gets."""
        tables = self._context.store.catalog.database(self.trigger.database).tables
        spec = self.trigger.spec
        if isinstance(spec, TableSpec):
            table = tables.get(spec.table)
            return {} if table is None else {table.id: table.name}
        return {table.id: table.name for table in tables.values()}

    def _advance(self, sequence: int) -> None:
        self._position = sequence
        self._context.store.pin(self.trigger.id, sequence)

    def _finish(self, batch: _Batch) -> bool:
        """Commit a batch whose run has ended; says whether the trigger goes on."""
        outcome = batch.future.result()
        error = outcome.error
        if isinstance(error, RunCancelled):
            return False
        if error is not None:
            behavior = self.trigger.settings.error_behavior
            if behavior is ErrorBehavior.DISABLE:
                self._context.disable(self.trigger, error.message)
                return False
            if behavior is ErrorBehavior.RETRY or isinstance(error, PluginUnavailable):
                if not self._pause(batch.attempt):
                    return False
                batch.attempt += 1
                batch.future = self._executor.submit(self._run, batch.call)
                return True
        writes = outcome.writes if error is None else ()
        self._commit(writes, CursorMove(self.trigger.id, batch.through))
        self._under_way.popleft()
        self._advance(batch.through if self._under_way else self._read_through)
        return True


def gather(frames: Sequence[Frame], tables: Mapping[int, str]) -> list[tuple[str, pa.RecordBatch]]:
    """The rows of ``tables`` in ``frames``, one record batch a table, tables in the order of their first row."""
    found: dict[int, list[pa.RecordBatch]] = {}
    for frame in frames:
        for entry in frame.entries:
            if isinstance(entry, Rows) and entry.table_id in tables:
                found.setdefault(entry.table_id, []).append(entry.batch)
    return [(tables[number], _concatenate(batches)) for number, batches in found.items()]


def _concatenate(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch with the columns of all; a row has null in a column that its own batch lacks."""
    if len(batches) == 1:
        return batches[0]
    tables = [pa.Table.from_batches([batch]) for batch in batches]
    table = pa.concat_tables(tables, promote_options="default").unify_dictionaries().combine_chunks()
    return table.to_batches()[0]
