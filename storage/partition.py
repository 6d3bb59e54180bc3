"""Which rows of a persist go into which file: partitions of time, put together where rows are sparse.

Rows are cut by ``gen1_ns``. When that would be more files than allowed, neighbouring partitions share
a file, as few rows in each as it takes. So a stream of old, scattered timestamps makes few files
that span much time, and the dense present beside it keeps its narrow ones. Nothing depends on the
width: every file carries its own time range.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# A histogram of partition numbers is taken over at most this many; scattered rows are sorted instead.
_HISTOGRAM: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring partitions that make one file: their numbers ``first`` to ``last``, in units of ``gen1_ns``."""

    first: int
    last: int
    rows: int


def partition_rows(times: Int64s, live: Bools | None, gen1_ns: int, max_files: int) -> tuple[list[Group], Int32s]:
    """The groups, in time order, and for each row the index of its group (of rows that are not live: any)."""
    numbers = np.floor_divide(times, gen1_ns)
    counted = numbers if live is None else numbers[live]
    low, high = int(counted.min()), int(counted.max())
    if high - low < _HISTOGRAM:
        histogram = np.bincount(counted - low)
        present = np.flatnonzero(histogram)
        values, counts = present + low, histogram[present]
    else:
        values, counts = np.unique(counted, return_counts=True)
    bounds = pack(counts, max_files)
    groups = [
        Group(int(values[start]), int(values[stop - 1]), int(counts[start:stop].sum()))
        for start, stop in itertools.pairwise(bounds)
    ]
    if len(groups) == 1:
        return groups, np.zeros(len(times), np.int32)
    starts = np.array([group.first for group in groups[1:]])
    return groups, np.searchsorted(starts, numbers, side="right").astype(np.int32)


def pack(counts: Int64s, max_groups: int) -> list[int]:
    """Where to cut a row of ``counts`` into at most ``max_groups`` runs of the least greatest sum.

    Gives the start of each run, and the end. A count is never cut, and those alone that are greater
    than the bound found for the others make a run of their own.
    """
    if len(counts) <= max_groups:
        return list(range(len(counts) + 1))
    totals = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    low, high = 1, int(totals[-1])
    while low < high:
        middle = (low + high) // 2
        if _cuts(totals, middle, max_groups) is None:
            low = middle + 1
        else:
            high = middle
    found = _cuts(totals, low, max_groups)
    assert found is not None
    return list(found)


def _cuts(totals: Int64s, bound: int, max_groups: int) -> Sequence[int] | None:
    """The runs one gets by filling each up to ``bound``; None if they are too many."""
    cuts = [0]
    while cuts[-1] < len(totals) - 1:
        if len(cuts) > max_groups:
            return None
        start = cuts[-1]
        stop = int(np.searchsorted(totals, totals[start] + bound, side="right")) - 1
        cuts.append(max(stop, start + 1))
    return cuts
