"""Which times the rows in memory lie in: a late row must not make everything between it and now overlap."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa
from headrace.query.overlap import Range, coarsen
from headrace.wal.schema import TIME_COLUMN

_SLOTS: Final = 1 << 16
_SHORTEST_SLOT_NS: Final = 1_000_000_000


class MemoryRanges:
    """Remembers the ranges of batches, which never change, for as long as the batches live."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[pa.RecordBatch], list[Range]]] = {}
        self._lock = threading.Lock()

    def of(self, batches: Iterable[pa.RecordBatch]) -> list[Range]:
        """Ascending, disjoint ranges that hold every row; few, and with the wide gaps left out."""
        joined: list[Range] = []
        for first, last in sorted(each for batch in batches for each in self._of(batch)):
            if joined and first <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], last))
            else:
                joined.append((first, last))
        return coarsen(joined)

    def _of(self, batch: pa.RecordBatch) -> list[Range]:
        key = id(batch)
        with self._lock:
            known = self._known.get(key)
        if known is not None and known[0]() is batch:
            return known[1]
        ranges = ranges_of(batch)
        reference = weakref.ref(batch, lambda _: self._known.pop(key, None))
        with self._lock:
            self._known[key] = (reference, ranges)
        return ranges


def ranges_of(batch: pa.RecordBatch) -> list[Range]:
    """The ranges of one batch, exact at both ends and to a second, or 65,536th of the whole, between them."""
    if batch.num_rows == 0:
        return []
    times = batch.column(TIME_COLUMN).cast(pa.int64()).to_numpy()
    first, last = int(times.min()), int(times.max())
    slot = max(_SHORTEST_SLOT_NS, (last - first) // _SLOTS + 1)
    used = np.zeros((last - first) // slot + 3, dtype=np.int8)
    # Unsigned: two times may be further apart than a signed number tells.
    offsets = times.view(np.uint64) - np.uint64(first % 2**64)
    used[(offsets // np.uint64(slot)).astype(np.int64) + 1] = 1
    edges = np.diff(used)
    starts = np.flatnonzero(edges == 1).tolist()
    ends = np.flatnonzero(edges == -1).tolist()
    return coarsen(
        [(first + start * slot, min(last, first + end * slot - 1)) for start, end in zip(starts, ends, strict=True)]
    )
