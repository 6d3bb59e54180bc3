"""Finding rows with the same tags and time among the rows of a table in memory.

Rows are numbered in the order in which they were written. A row whose key was there before supersedes
the older row; ``superseded`` says by which row, so that the state at any earlier moment (the first n
rows) can still be told: then a row counts unless a row below n supersedes it.

Nothing is looked up while no row can be a duplicate (``SeriesIndex.suspects``). With the first suspect
all keys go into one hash table of row numbers, which is kept up from then on.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from headrace.storage.kernel import kernel

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LIVE: Final = np.iinfo(np.int64).max
MAX_ROWS: Final = 1 << 31
_FIRST: Final = 1024


class RowKeys:
    """Series and time of every row, and which rows are superseded. Not safe for threads."""

    def __init__(self) -> None:
        self._count = 0
        self._series = np.empty(_FIRST, np.int32)
        self._times = np.empty(_FIRST, np.int64)
        self._superseded: Int64s | None = None
        self._slots: Int64s | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        arrays = (self._series, self._times, self._superseded, self._slots)
        return sum(each.nbytes for each in arrays if each is not None)

    @property
    def series(self) -> Int32s:
        """A view that stays as it is, as ``times``."""
        return self._series[: self._count]

    @property
    def times(self) -> Int64s:
        return self._times[: self._count]

    def superseded(self, start: int, stop: int) -> Int64s | None:
        """For each of these rows the row that supersedes it, or LIVE; None: none is. Changes with every append."""
        return None if self._superseded is None else self._superseded[start:stop]

    def append(self, series: Int32s, times: Int64s, *, suspects: int) -> Int64s | None:
        """Number these rows; gives for each the older row that it supersedes or -1, or None if there is none at all.

        An older row may be among the new ones themselves.
        """
        start, stop = self._count, self._count + len(series)
        if stop > MAX_ROWS:
            raise OverflowError(f"more than {MAX_ROWS} rows of one table in memory")
        if stop > len(self._series):
            capacity = max(stop, 2 * len(self._series))
            self._series = _enlarged(self._series, start, capacity)
            self._times = _enlarged(self._times, start, capacity)
            if self._superseded is not None:
                self._superseded = _enlarged(self._superseded, start, capacity, LIVE)
        self._series[start:stop] = series
        self._times[start:stop] = times
        self._count = stop
        if self._slots is None and not suspects:
            return None
        if self._superseded is None:
            self._superseded = np.full(len(self._series), LIVE, np.int64)
        older = np.empty(len(series), np.int64)
        first = start
        if self._slots is None or 2 * stop > len(self._slots):
            # Rebuilt from the rows that are live, which all have different keys.
            self._slots = np.full(_power_of_two(4 * stop), -1, np.int64)
            _insert(self._series, self._times, self._superseded, self._slots, 0, start, np.empty(0, np.int64))
        found = _insert(self._series, self._times, self._superseded, self._slots, first, stop, older)
        return older if found else None

    def forget_from(self, row: int) -> None:
        """Take back the rows from ``row`` on, for a caller that failed half-way."""
        self._count = row
        self._slots = None
        if self._superseded is not None:
            self._superseded[self._superseded >= row] = LIVE


def _enlarged(old: npt.NDArray[Any], used: int, capacity: int, fill: int | None = None) -> npt.NDArray[Any]:
    new = np.empty(capacity, old.dtype)
    new[:used] = old[:used]
    if fill is not None:
        new[used:] = fill
    return new


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


@kernel
def _insert(series, times, superseded, slots, start, stop, older):  # type: ignore[no-untyped-def]
    """Enter rows; a slot holds 32 bits of the key's hash above 32 bits of row number. Fills ``older`` unless empty."""
    mask = len(slots) - 1
    found = 0
    keep = len(older) > 0
    for row in range(start, stop):
        if keep:
            older[row - start] = -1
        elif superseded[row] != 0x7FFFFFFFFFFFFFFF:
            continue
        each, time = series[row], times[row]
        digest = np.uint64(time) * np.uint64(0x9E3779B97F4A7C15)
        digest ^= (np.uint64(each) + np.uint64(1)) * np.uint64(0xD6E8FEB86659FD93)
        digest ^= digest >> np.uint64(32)
        digest *= np.uint64(0xD6E8FEB86659FD93)
        digest ^= digest >> np.uint64(29)
        mark = np.int64((digest >> np.uint64(33)) << np.uint64(32))
        slot = np.int64(digest & np.uint64(mask))
        while True:
            entry = slots[slot]
            if entry < 0:
                slots[slot] = mark | row
                break
            if (entry >> 32) << 32 == mark:
                other = entry & 0xFFFFFFFF
                if series[other] == each and times[other] == time:
                    superseded[other] = row
                    slots[slot] = mark | row
                    if keep:
                        older[row - start] = other
                    found += 1
                    break
            slot = (slot + 1) & mask
    return found
