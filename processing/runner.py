"""What every running trigger has: its workers, its runs' bookkeeping, and the commit of what a run wrote.

Subclasses decide when to call; see ``wal_runner``, ``schedule_runner`` and ``request_runner``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from headrace.processing.errors import PluginUnavailable, ProcessingError, RunCancelled, RunFailed
from headrace.processing.journal import Journal, LogLine, RunRecord
from headrace.processing.run import LogLevel, RequestCall, RunOutcome, RunRequest, ScheduledCall, WalCall
from headrace.processing.settings import EngineSettings
from headrace.processing.trigger import Trigger, TriggerStatus
from headrace.processing.worker_pool import WorkerPool
from headrace.storage.errors import BufferFull, DiskFull
from headrace.storage.ingest import WritePart
from headrace.storage.names import check_database_name
from headrace.storage.store import Store
from headrace.wal.entry import CursorMove
from headrace.wal.errors import HeadraceError, WalClosed, WalFull

logger = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 30.0
_REPORTED_LINES: Final = 10


@dataclass(frozen=True, slots=True)
class RunnerContext:
    """What a runner needs of the engine."""

    store: Store
    journal: Journal
    settings: EngineSettings
    disable: Callable[[Trigger, str], None]
    """Disables the trigger for the reason given; returns at once."""


class Runner:
    """One enabled trigger. ``start`` and ``stop`` are called once each, by the engine."""

    def __init__(self, trigger: Trigger, pool: WorkerPool, context: RunnerContext) -> None:
        self.trigger = trigger
        self._pool = pool
        self._context = context
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._state = "idle"
        self._runs = self._failures = self._rows_in = self._rows_out = 0
        self._run_seconds = 0.0
        self._last: RunRecord | None = None

    def start(self) -> None:
        """Begin to fire. Does not wait for anything."""

    def stop(self) -> None:
        """Cancel what runs and end the workers; when this returns nothing of the trigger happens any more."""
        self._stop.set()
        self._pool.stop()
        with self._lock:
            self._state = "stopped"

    def status(self) -> TriggerStatus:
        with self._lock:
            last = self._last
            return TriggerStatus(
                trigger=self.trigger,
                state=self._state,
                runs=self._runs,
                failures=self._failures,
                rows_in=self._rows_in,
                rows_out=self._rows_out,
                run_seconds=self._run_seconds,
                last_run_ns=last.start_ns if last else None,
                last_outcome=last.outcome if last else None,
                last_error=last.error if last else None,
                next_run_ns=self._next_run_ns(),
                lag_sequences=self._lag_sequences(),
                lag_seconds=self._lag_seconds(),
            )

    def _next_run_ns(self) -> int | None:
        return None

    def _lag_sequences(self) -> int | None:
        return None

    def _lag_seconds(self) -> float | None:
        return None

    def log(self, level: LogLevel, text: str) -> None:
        trigger = self.trigger
        self._context.journal.log(LogLine(time.time_ns(), trigger.database, trigger.name, level, text))

    def _run(self, call: WalCall | ScheduledCall | RequestCall) -> RunOutcome:
        """One call of the plugin, recorded and, if it failed, logged. Never raises for what a plugin does."""
        request = RunRequest(call, self.trigger.definition.arguments or None)
        self._set_state("running")
        started = time.time_ns()
        try:
            with self._pool.worker() as worker:
                outcome = worker.run(request)
        except ProcessingError as error:  # the plugin could not be found or fetched
            failed = error if isinstance(error, RunFailed) else PluginUnavailable(error.message)
            outcome = RunOutcome(failed, started_ns=started)
        self._set_state("idle")
        self._record(outcome)
        if outcome.error is not None and not isinstance(outcome.error, RunCancelled):
            text = f"error executing plugin: {outcome.error.message}"
            self.log("ERROR", f"{text}\n{outcome.traceback}" if outcome.traceback else text)
        return outcome

    def _commit(self, writes: Sequence[WritePart], cursor: CursorMove | None, *, sync: bool = True) -> None:
        """Store what a run wrote and where its trigger stands now, as one frame.

        Lines that cannot be stored are logged and left out. Waits while the log, memory or the disk is full;
        raises RunCancelled if the trigger is stopped or the log closed before the frame is durable.
        """
        parts = [part for part in writes if self._accepted(part)]
        if not parts and cursor is None:
            return
        pause = _FIRST_PAUSE
        while True:
            try:
                pending = self._context.store.submit(parts, accept_partial=True, sync=sync, cursor=cursor)
                for error in pending.errors[:_REPORTED_LINES]:
                    self.log("ERROR", f"a line was not written: {error.error_message}: {error.original_line}")
                if pending.error_count > _REPORTED_LINES:
                    self.log("ERROR", f"{pending.error_count - _REPORTED_LINES} more lines were not written")
                pending.future.result()
                return
            except (WalFull, BufferFull, DiskFull):
                if self._stop.wait(pause):
                    raise RunCancelled("the trigger was stopped before its writes were stored") from None
                pause = min(2 * pause, _LONGEST_PAUSE)
            except WalClosed:
                raise RunCancelled("the server stopped before the run's writes were stored") from None
            except HeadraceError as error:
                if error.status >= 500 or not parts:
                    raise RunCancelled(f"the run's writes could not be stored: {error.message}") from error
                # One part as a whole cannot be stored (a limit, a column's type): the others must not suffer.
                self.log("ERROR", f"writes were not stored: {error.message}")
                culprit = getattr(error, "part", None)
                parts = [part for part in parts if part is not culprit] if culprit is not None else []

    def _accepted(self, part: WritePart) -> bool:
        try:
            check_database_name(part.database)
        except HeadraceError as error:
            self.log("ERROR", f"writes to {part.database!r} were not stored: {error.message}")
            return False
        return True

    def _pause(self, attempt: int) -> bool:
        """Wait before another try; says whether there is to be one."""
        self._set_state("retrying")
        return not self._stop.wait(min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE))

    def _set_state(self, state: str) -> None:
        with self._lock:
            if not self._stop.is_set():
                self._state = state

    def _record(self, outcome: RunOutcome) -> None:
        record = RunRecord(
            start_ns=outcome.started_ns,
            database=self.trigger.database,
            trigger=self.trigger.name,
            outcome=outcome.outcome,
            duration_s=outcome.duration_s,
            rows_in=outcome.rows_in,
            rows_out=outcome.rows_out,
            peak_memory_bytes=outcome.peak_memory_bytes or None,
            error=outcome.error.message if outcome.error is not None else None,
        )
        with self._lock:
            self._runs += 1
            self._failures += outcome.error is not None
            self._rows_in += outcome.rows_in
            self._rows_out += outcome.rows_out
            self._run_seconds += outcome.duration_s
            self._last = record
        self._context.journal.record(record)


class LoopRunner(Runner):
    """A trigger that fires by itself: a thread decides when, and up to ``pool.size`` others make the calls."""

    def __init__(self, trigger: Trigger, pool: WorkerPool, context: RunnerContext) -> None:
        super().__init__(trigger, pool, context)
        self._executor = ThreadPoolExecutor(pool.size, thread_name_prefix=f"headrace-run-{trigger.name}")
        self._thread = threading.Thread(target=self._loop, name=f"headrace-trigger-{trigger.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        super().stop()
        self._thread.join()
        self._executor.shutdown(wait=True)

    def _loop(self) -> None:
        """Fire until ``_stop`` is set."""
        raise NotImplementedError
