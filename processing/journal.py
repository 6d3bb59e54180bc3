"""What the engine remembers of its work: the newest log lines and the newest runs, each in a bounded ring.

Log lines also go to the server's own log, under ``headrace.plugin``, so that a file collector sees them.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from headrace.processing.row_table import row_table

logger = logging.getLogger("headrace.plugin")

LEVELS: Final = {"INFO": logging.INFO, "WARN": logging.WARNING, "ERROR": logging.ERROR}

LOG_SCHEMA: Final = pa.schema(
    [
        pa.field("event_time", pa.timestamp("ns"), nullable=False),
        pa.field("trigger_name", pa.utf8(), nullable=False),
        pa.field("log_level", pa.utf8(), nullable=False),
        pa.field("log_text", pa.utf8(), nullable=False),
    ]
)
RUN_SCHEMA: Final = pa.schema(
    [
        pa.field("start_time", pa.timestamp("ns"), nullable=False),
        pa.field("trigger_name", pa.utf8(), nullable=False),
        pa.field("outcome", pa.utf8(), nullable=False),
        pa.field("duration_ms", pa.float64(), nullable=False),
        pa.field("rows_in", pa.int64(), nullable=False),
        pa.field("rows_out", pa.int64(), nullable=False),
        pa.field("peak_memory_bytes", pa.int64()),
        pa.field("error", pa.utf8()),
    ]
)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line a plugin logged, or the engine on its behalf. ``level`` is INFO, WARN or ERROR."""

    time_ns: int
    database: str
    trigger: str
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One finished run of a trigger."""

    start_ns: int
    database: str
    trigger: str
    outcome: str
    duration_s: float
    rows_in: int
    rows_out: int
    peak_memory_bytes: int | None
    error: str | None


class Journal:
    """The two rings. All methods may be called from any thread."""

    def __init__(self, log_lines: int, runs: int) -> None:
        self._lines: deque[LogLine] = deque(maxlen=log_lines)
        self._runs: deque[RunRecord] = deque(maxlen=runs)
        self._lock = threading.Lock()

    def log(self, line: LogLine) -> None:
        with self._lock:
            self._lines.append(line)
        logger.log(LEVELS.get(line.level, logging.INFO), "%s.%s: %s", line.database, line.trigger, line.text)

    def record(self, run: RunRecord) -> None:
        with self._lock:
            self._runs.append(run)

    def lines(self, database: str) -> list[LogLine]:
        """The lines of a database's triggers, oldest first."""
        with self._lock:
            return [line for line in self._lines if line.database == database]

    def runs(self, database: str) -> list[RunRecord]:
        """The runs of a database's triggers, oldest first."""
        with self._lock:
            return [run for run in self._runs if run.database == database]

    def log_table(self, database: str) -> pa.Table:
        rows = [(line.time_ns, line.trigger, line.level, line.text) for line in self.lines(database)]
        return row_table(LOG_SCHEMA, rows)

    def run_table(self, database: str) -> pa.Table:
        rows = [
            (
                run.start_ns,
                run.trigger,
                run.outcome,
                run.duration_s * 1e3,
                run.rows_in,
                run.rows_out,
                run.peak_memory_bytes,
                run.error,
            )
            for run in self.runs(database)
        ]
        return row_table(RUN_SCHEMA, rows)
