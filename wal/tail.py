"""The newest committed frames in memory, for triggers that keep up."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from itertools import islice

from headrace.wal.entry import Entry, Frame, Rows

# A small record batch is mostly not data: 4.6 KB for one row of 3 columns, 22 KB for one of 40 (pyarrow 26).
_BATCH_OVERHEAD = 1024
_COLUMN_OVERHEAD = 768


class Tail:
    """A run of consecutive frames ending with the newest one, bounded by about the memory they take.

    The record batches are the ones the buffer holds, so that a tail costs memory only for rows that
    have been persisted already.
    """

    def __init__(self, max_bytes: int, last: int) -> None:
        self._max_bytes = max_bytes
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._last = last
        self._lock = threading.Lock()

    @property
    def last(self) -> int:
        """The sequence of the newest committed frame."""
        return self._last

    def append(self, frames: Sequence[Frame]) -> None:
        with self._lock:
            self._frames.extend(frames)
            self._bytes += sum(map(_memory, frames))
            while self._frames and self._bytes > self._max_bytes:
                self._bytes -= _memory(self._frames.popleft())
            self._last = frames[-1].sequence

    def after(self, sequence: int) -> list[Frame] | None:
        """Every frame behind ``sequence``; None if the oldest of them is no longer here."""
        with self._lock:
            if sequence >= self._last:
                return []
            if not self._frames or self._frames[0].sequence > sequence + 1:
                return None
            # Sequences are consecutive, so the position follows from the number.
            return list(islice(self._frames, sequence + 1 - self._frames[0].sequence, None))


def _memory(frame: Frame) -> int:
    size = frame.size
    for entry in frame.entries:
        if isinstance(entry, Rows):
            size += _BATCH_OVERHEAD + _COLUMN_OVERHEAD * entry.batch.num_columns
    return size


def pick(frames: Iterable[Frame], limit_bytes: int, table_ids: Collection[int] | None) -> list[Frame]:
    """The first ``limit_bytes`` of ``frames`` (at least one), of their rows only those of ``table_ids``.

    Frames with nothing left are dropped, except the last one looked at: the sequence of the last
    frame returned is always how far the reading got.
    """
    found: list[Frame] = []
    size = 0
    skipped: Frame | None = None
    for frame in frames:
        entries = select(frame.entries, table_ids)
        if not entries and table_ids is not None:
            skipped = Frame(frame.sequence, (), frame.size)
            continue
        size += frame.size
        if found and size > limit_bytes:
            break
        found.append(frame if table_ids is None else Frame(frame.sequence, entries, frame.size))
        skipped = None
    return found if skipped is None else [*found, skipped]


def select(entries: Sequence[Entry], table_ids: Collection[int] | None) -> tuple[Entry, ...]:
    """``entries`` without the rows of other tables."""
    if table_ids is None:
        return tuple(entries)
    return tuple(entry for entry in entries if not isinstance(entry, Rows) or entry.table_id in table_ids)
