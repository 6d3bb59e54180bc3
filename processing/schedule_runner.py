"""Scheduled triggers: called when their time comes, never twice for one time.

The trigger's cursor is its last fire time in nanoseconds; it moves in one frame with what the run wrote. Times
that passed while the server was down, the trigger disabled or a run under way are skipped and logged.
"""

from __future__ import annotations

import time
from threading import Semaphore
from typing import Final

from headrace.processing.errors import RunCancelled
from headrace.processing.run import ScheduledCall
from headrace.processing.runner import LoopRunner, RunnerContext
from headrace.processing.settings import ErrorBehavior
from headrace.processing.specs import NANOSECONDS, ScheduleSpec
from headrace.processing.trigger import Trigger
from headrace.processing.worker_pool import WorkerPool
from headrace.wal.entry import CursorMove

_LONGEST_WAIT: Final = 10.0
"""Seconds between looks at the clock, so that a corrected clock is noticed."""


class ScheduleRunner(LoopRunner):
    """See the module's docstring."""

    def __init__(self, trigger: Trigger, pool: WorkerPool, context: RunnerContext, spec: ScheduleSpec) -> None:
        super().__init__(trigger, pool, context)
        self._spec = spec
        self._free = Semaphore(pool.size)
        self._fire_ns: int | None = None

    def _next_run_ns(self) -> int | None:
        return self._fire_ns

    def _loop(self) -> None:
        now = time.time_ns()
        last = self._context.store.cursor(self.trigger.id)
        if last is not None and last < now:
            self._note_missed(last, now)
        # A time that has been called must not be called again, whatever the clock says after a restart.
        fire = self._spec.next_fire(max(now, last or 0))
        while self._wait_until(fire):
            self._fire(fire)
            now = time.time_ns()
            if now > fire:
                self._note_missed(fire, now)
            fire = self._spec.next_fire(max(fire, now))

    def _wait_until(self, fire_ns: int) -> bool:
        self._fire_ns = fire_ns
        while (left := (fire_ns - time.time_ns()) / NANOSECONDS) > 0:
            if self._stop.wait(min(left, _LONGEST_WAIT)):
                return False
        return not self._stop.is_set()

    def _fire(self, fire_ns: int) -> None:
        if not self.trigger.settings.run_async:
            self._call(fire_ns)
        elif self._free.acquire(blocking=False):
            self._executor.submit(self._call_and_free, fire_ns)
        else:
            self.log("WARN", "a scheduled run was skipped: as many runs as allowed are still under way")

    def _call_and_free(self, fire_ns: int) -> None:
        try:
            self._call(fire_ns)
        finally:
            self._free.release()

    def _call(self, fire_ns: int) -> None:
        attempt = 0
        while True:
            outcome = self._run(ScheduledCall(fire_ns))
            behavior = self.trigger.settings.error_behavior
            if isinstance(outcome.error, RunCancelled):
                return
            if outcome.error is None or behavior is ErrorBehavior.LOG:
                break
            if behavior is ErrorBehavior.DISABLE:
                self._context.disable(self.trigger, outcome.error.message)
                return
            if not self._pause(attempt):
                return
            attempt += 1
        writes = outcome.writes if outcome.error is None else ()
        try:
            # Without writes only the note of the fire time is at stake: no need to wait for the disk.
            self._commit(writes, CursorMove(self.trigger.id, fire_ns), sync=bool(writes))
        except RunCancelled as cancelled:
            if not self._stop.is_set():
                self.log("ERROR", cancelled.message)

    def _note_missed(self, after_ns: int, until_ns: int) -> None:
        missed = self._spec.missed_between(after_ns, until_ns)
        if missed:
            self.log("WARN", f"{missed} scheduled run{'s' if missed > 1 else ''} missed and skipped")
