"""Which rows belong to the same series: tag sets as small integers, and when each series was last written.

A series is known by the codes of its tag values. A tag that comes into being later is null in every
series there was before, so their numbers stay.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from headrace.storage.kernel import kernel

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

_FIRST: Final = 256
_EARLIEST: Final = np.iinfo(np.int64).min
_LATEST: Final = np.iinfo(np.int64).max


class SeriesIndex:
    """Numbers the distinct tag sets of a table in the order of their first appearance. Not safe for threads."""

    def __init__(self) -> None:
        self._count = 0
        self._keys = np.full((_FIRST, 0), -1, np.int32)
        self._hashes = np.empty(_FIRST, np.uint64)
        self._slots = np.full(2 * _FIRST, -1, np.int32)
        self._first_times = np.full(_FIRST, _LATEST, np.int64)
        self._last_times = np.full(_FIRST, _EARLIEST, np.int64)

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        arrays = (self._keys, self._hashes, self._slots, self._first_times, self._last_times)
        return sum(each.nbytes for each in arrays)

    @property
    def keys(self) -> Int32s:
        """One row a series, one code a tag, -1 for null. A view that stays as it is."""
        return self._keys[: self._count]

    def widen(self, tags: int) -> None:
        """From now on series have ``tags`` tags; the new ones are null so far."""
        more = np.full((len(self._keys), tags - self._keys.shape[1]), -1, np.int32)
        self._keys = np.hstack([self._keys, more])

    def assign(self, codes: Int32s) -> Int32s:
        """The series of each row; ``codes`` has one row a tag, one column a row of data."""
        rows = codes.shape[1]
        out = np.empty(rows, np.int32)
        row = 0
        while True:
            row, self._count = _assign(codes, self._keys, self._hashes, self._slots, self._count, row, out)
            if row == rows:
                return out
            self._grow()

    def suspects(self, series: Int32s, times: Int64s) -> int:
        """How many of these new rows may repeat the tags and time of another row; takes note of their times.

        A row that is newer or older than everything its series had cannot. That clears nearly all
        rows of nearly all workloads at the cost of one comparison each.
        """
        return int(_suspects(series, times, self._first_times, self._last_times))

    def _grow(self) -> None:
        capacity = len(self._keys)
        self._keys = np.vstack([self._keys, np.full_like(self._keys, -1)])
        self._hashes = np.concatenate([self._hashes, np.empty(capacity, np.uint64)])
        self._first_times = np.concatenate([self._first_times, np.full(capacity, _LATEST, np.int64)])
        self._last_times = np.concatenate([self._last_times, np.full(capacity, _EARLIEST, np.int64)])
        self._slots = np.full(4 * capacity, -1, np.int32)
        _fill_slots(self._hashes, self._count, self._slots)


@kernel
def _assign(codes, keys, hashes, slots, count, start, out):  # type: ignore[no-untyped-def]
    """Series of the rows from ``start`` on. Stops early, at the row it returns, when a new series finds no room."""
    tags, rows = codes.shape
    mask = len(slots) - 1
    for row in range(start, rows):
        digest = np.uint64(0)
        # A null tag adds nothing, so that a new tag does not change the hashes of old series.
        for tag in range(tags):
            factor = np.uint64(2 * tag + 1) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(0xD6E8FEB86659FD92)
            digest += np.uint64(codes[tag, row] + 1) * (factor | np.uint64(1))
        digest ^= digest >> np.uint64(32)
        digest *= np.uint64(0xD6E8FEB86659FD93)
        digest ^= digest >> np.uint64(32)
        slot = np.int64(digest & np.uint64(mask))
        found = slots[slot]
        while found >= 0:
            if hashes[found] == digest:
                same = True
                for tag in range(tags):
                    if keys[found, tag] != codes[tag, row]:
                        same = False
                        break
                if same:
                    break
            slot = (slot + 1) & mask
            found = slots[slot]
        if found < 0:
            if count == len(keys):
                return row, count
            for tag in range(tags):
                keys[count, tag] = codes[tag, row]
            hashes[count] = digest
            slots[slot] = count
            found = count
            count += 1
        out[row] = found
    return rows, count


@kernel
def _suspects(series, times, first_times, last_times):  # type: ignore[no-untyped-def]
    found = 0
    for row in range(len(series)):
        each, time = series[row], times[row]
        newer, older = time > last_times[each], time < first_times[each]
        if newer:
            last_times[each] = time
        if older:
            first_times[each] = time
        if not newer and not older:
            found += 1
    return found


@kernel
def _fill_slots(hashes, count, slots):  # type: ignore[no-untyped-def]
    mask = len(slots) - 1
    for each in range(count):
        slot = np.int64(hashes[each] & np.uint64(mask))
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = each
