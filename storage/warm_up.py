"""Getting the compiled kernels of storage ready before the first request needs them."""

from __future__ import annotations

import logging
import threading
import time

import numpy as np
import pyarrow as pa
from headrace.storage.sort import series_ranks, sorted_rows, split_by_group
from headrace.storage.table_buffer import TableBuffer
from headrace.wal.schema import TAG_TYPE, TIME_TYPE

logger = logging.getLogger(__name__)

_SLOW = 2.0


def warm_up() -> None:
    """Run every kernel once on a few rows: each is loaded from its cache, or compiled (some seconds, once)."""
    started = time.monotonic()
    # Each series three times, one later than the last, one in between: rows that are new, and rows that repeat.
    batch = pa.record_batch(
        {
            "tag": pa.array([f"value{number % 300}" for number in range(900)]).cast(TAG_TYPE),
            "field": pa.array([1.0, None] * 450),
            "time": pa.array([3, 1, 2] * 300).cast(TIME_TYPE),
        }
    )
    buffer = TableBuffer(0, threading.RLock(), lambda _: None)
    for _ in range(2):
        buffer.append(batch, batch.nbytes)
        buffer.absorb()
    rows = buffer.rows(buffer.appended)
    for live in (rows.live, None):
        order = sorted_rows(series_ranks(rows.keys, rows.values, [0]), rows.series, rows.times, live)
    split_by_group(order, np.zeros(len(rows.times), np.int32), 2)
    seconds = time.monotonic() - started
    if seconds > _SLOW:
        logger.info("compiled the kernels of storage in %.1f s; the next start finds them in a cache", seconds)
