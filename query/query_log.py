"""``system.queries``: the last queries of each database, and what became of them."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

_DURATION: Final = pa.duration("ns")
QUERIES: Final = pa.schema(
    [
        ("id", pa.utf8()),
        ("phase", pa.utf8()),
        ("issue_time", pa.timestamp("ns")),
        ("query_type", pa.utf8()),
        ("query_text", pa.utf8()),
        ("partitions", pa.int64()),
        ("parquet_files", pa.int64()),
        ("plan_duration", _DURATION),
        ("permit_duration", _DURATION),
        ("execute_duration", _DURATION),
        ("end2end_duration", _DURATION),
        ("compute_duration", _DURATION),
        ("max_memory", pa.int64()),
        ("success", pa.bool_()),
        ("running", pa.bool_()),
        ("cancelled", pa.bool_()),
        ("trace_id", pa.utf8()),
    ]
)
_MAX_TEXT: Final = 10_000


@dataclass(slots=True)
class QueryRecord:
    """One query; filled in by the thread that runs it."""

    database: str
    text: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    issued_ns: int = field(default_factory=time.time_ns)
    started: int = field(default_factory=time.perf_counter_ns)
    phase: str = "received"
    files: int | None = None
    permit_ns: int | None = None
    plan_ns: int | None = None
    execute_ns: int | None = None
    total_ns: int | None = None

    def permitted(self) -> None:
        self.permit_ns = time.perf_counter_ns() - self.started

    def planned(self, files: int) -> None:
        self.files = files
        self.plan_ns = time.perf_counter_ns() - self.started - (self.permit_ns or 0)
        self.phase = "running"

    def ended(self, phase: str) -> None:
        """``phase`` is ``success``, ``fail`` or ``cancel``; only the first call counts."""
        if self.total_ns is None:
            self.total_ns = time.perf_counter_ns() - self.started
            if self.plan_ns is not None:
                self.execute_ns = self.total_ns - self.plan_ns - (self.permit_ns or 0)
            self.phase = phase

    @property
    def running(self) -> bool:
        return self.total_ns is None


class QueryLog:
    """Remembers a bounded number of queries."""

    def __init__(self, size: int) -> None:
        self._records: deque[QueryRecord] = deque(maxlen=size)
        self._lock = threading.Lock()

    def start(self, database: str, text: str) -> QueryRecord:
        record = QueryRecord(database, text[:_MAX_TEXT])
        with self._lock:
            self._records.append(record)
        return record

    def table(self, database: str) -> pa.Table:
        with self._lock:
            records = [record for record in self._records if record.database == database]
        rows = [
            (
                each.id,
                each.phase,
                each.issued_ns,
                "sql",
                each.text,
                None,
                each.files,
                each.plan_ns,
                each.permit_ns,
                each.execute_ns,
                each.total_ns,
                None,
                None,
                each.phase == "success",
                each.running,
                each.phase == "cancel",
                None,
            )
            for each in records
        ]
        columns = list(zip(*rows, strict=True)) or [()] * len(QUERIES)
        return pa.table(
            [pa.array(column, each.type) for column, each in zip(columns, QUERIES, strict=True)], schema=QUERIES
        )
