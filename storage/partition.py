"""Which rows of a persist go into which file: partitions of time, wider where rows are sparse.

Rows are cut by ``gen1_ns``. When that would be more files than allowed, neighbouring partitions are
put together in wider ones (an hour, a day, and so on), those first that have the fewest rows for the
files they save. So a stream of old, scattered timestamps makes few wide files, and the dense present
beside it keeps its narrow ones. Nothing depends on the width: every file carries its own time range.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

HOUR_NS: Final = 3600 * 10**9
DAY_NS: Final = 24 * HOUR_NS
WIDTHS: Final = (HOUR_NS, 6 * HOUR_NS, DAY_NS, 7 * DAY_NS, 28 * DAY_NS, 364 * DAY_NS, 3640 * DAY_NS)

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
        counts = np.bincount(counted - low)
        present = np.flatnonzero(counts)
        partitions = [Group(low + int(at), low + int(at), int(counts[at])) for at in present]
    else:
        values, sizes = np.unique(counted, return_counts=True)
        partitions = [Group(int(value), int(value), int(size)) for value, size in zip(values, sizes, strict=True)]
    groups = widen(partitions, gen1_ns, max_files)
    if len(groups) == 1:
        return groups, np.zeros(len(times), np.int32)
    starts = np.array([group.first for group in groups[1:]])
    return groups, np.searchsorted(starts, numbers, side="right").astype(np.int32)


def widen(partitions: list[Group], gen1_ns: int, max_files: int) -> list[Group]:
    """Put neighbours together until there are at most ``max_files`` groups. Keeps time order."""
    for width in (*(width for width in WIDTHS if width > gen1_ns), None):
        excess = len(partitions) - max_files
        if excess <= 0:
            break
        families = list(_families(partitions, gen1_ns, width))
        # Fewest rows made coarser for each file saved comes first.
        ranked = sorted(
            (family for family in families if len(family) > 1),
            key=lambda family: sum(group.rows for group in family) / (len(family) - 1),
        )
        joined = set()
        for family in ranked:
            if excess <= 0:
                break
            joined.add(family[0].first)
            excess -= len(family) - 1
        partitions = [
            group for family in families for group in ([_join(family)] if family[0].first in joined else family)
        ]
    return partitions


def _families(partitions: list[Group], gen1_ns: int, width: int | None) -> Iterator[list[Group]]:
    """Neighbours whose starts share a stretch of ``width`` (None: all time)."""
    family: list[Group] = []
    stretch: int | None = None
    for group in partitions:
        own = 0 if width is None else group.first * gen1_ns // width
        if family and own != stretch:
            yield family
            family = []
        stretch = own
        family.append(group)
    if family:
        yield family


def _join(family: list[Group]) -> Group:
    return Group(family[0].first, family[-1].last, sum(group.rows for group in family))
