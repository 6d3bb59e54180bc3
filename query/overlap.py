"""Where sources of one table overlap in time, and so may hold the same row twice.

Only there do rows go through a merge. Everything here is arithmetic on closed ranges of nanoseconds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

Range = tuple[int, int]
"""(first, last), both inclusive, in nanoseconds."""

_MAX_WINDOWS: Final = 16


@dataclass(frozen=True, slots=True)
class Overlap:
    """What to do with each source; sources are named by their position."""

    windows: tuple[Range, ...]
    """Ascending, disjoint. Outside of them no two sources meet."""
    straight: tuple[int, ...]
    """Sources that touch no window: all of their rows pass as they are."""
    outside: tuple[int, ...]
    """Sources whose rows outside of the windows pass as they are (and that are in a layer as well)."""
    layers: tuple[tuple[int, ...], ...]
    """Sources whose rows inside of the windows are to be merged, oldest layer first. Sources of one layer do not
    meet; of two sources that do, the newer one is in a later layer."""


def find_overlap(ranges: Sequence[Range]) -> Overlap:
    """Plan the merge of sources that are given oldest first."""
    windows = _coarsened(_windows(ranges))
    straight, outside = [], []
    layers: list[tuple[list[Range], list[int]]] = []
    starts = [start for start, _ in windows]
    for position, (first, last) in enumerate(ranges):
        window = bisect_right(starts, last) - 1
        if window < 0 or windows[window][1] < first:
            straight.append(position)
            continue
        if not (windows[window][0] <= first and last <= windows[window][1]):
            outside.append(position)
        layer = next((at for at in range(len(layers), 0, -1) if _meets(layers[at - 1][0], first, last)), 0)
        if layer == len(layers):
            layers.append(([], []))
        taken, members = layers[layer]
        taken.insert(bisect_left(taken, (first, last)), (first, last))
        members.append(position)
    return Overlap(tuple(windows), tuple(straight), tuple(outside), tuple(tuple(members) for _, members in layers))


def _windows(ranges: Sequence[Range]) -> list[Range]:
    """The times that at least two ranges share."""
    windows: list[Range] = []
    reach: int | None = None
    for first, last in sorted(ranges, key=itemgetter(0)):
        if reach is not None and first <= reach:
            shared = (first, min(reach, last))
            if windows and shared[0] <= windows[-1][1]:
                windows[-1] = (windows[-1][0], max(windows[-1][1], shared[1]))
            else:
                windows.append(shared)
        reach = last if reach is None else max(reach, last)
    return windows


def _coarsened(windows: list[Range]) -> list[Range]:
    """At most so many windows, by closing the narrowest gaps: merging a row that has no double changes nothing."""
    if len(windows) <= _MAX_WINDOWS:
        return windows
    gaps = sorted(range(1, len(windows)), key=lambda at: windows[at][0] - windows[at - 1][1], reverse=True)
    kept = sorted((0, *gaps[: _MAX_WINDOWS - 1]))
    return [
        (windows[start][0], windows[end - 1][1]) for start, end in zip(kept, (*kept[1:], len(windows)), strict=True)
    ]


def _meets(taken: list[Range], first: int, last: int) -> bool:
    """Whether one of the disjoint, ascending ranges meets the given one."""
    at = bisect_right(taken, last, key=itemgetter(0)) - 1
    return at >= 0 and taken[at][1] >= first
