"""Where sources of one table overlap in time, and so may hold the same row twice.

Only there do rows go through a merge. Everything here is arithmetic on closed ranges of nanoseconds.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Final

Range = tuple[int, int]
"""(first, last), both inclusive, in nanoseconds."""

MAX_RANGES: Final = 16
"""To how many ranges a source, or the windows, are simplified."""


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


def find_overlap(sources: Sequence[Sequence[Range]]) -> Overlap:
    """Plan the merge of sources that are given oldest first, each by the ranges that its rows lie in.

    The ranges of one source are ascending and disjoint.
    """
    windows = coarsen(_shared(sorted(chain.from_iterable(sources), key=itemgetter(0))))
    straight, outside = [], []
    layers: list[tuple[list[Range], list[int]]] = []
    for position, ranges in enumerate(sources):
        if not any(_meets(windows, each) for each in ranges):
            straight.append(position)
            continue
        if not all(_covers(windows, each) for each in ranges):
            outside.append(position)
        below = (at for at in range(len(layers), 0, -1) if any(_meets(layers[at - 1][0], each) for each in ranges))
        layer = next(below, 0)
        if layer == len(layers):
            layers.append(([], []))
        taken, members = layers[layer]
        members.append(position)
        for each in ranges:
            insort(taken, each)
    return Overlap(tuple(windows), tuple(straight), tuple(outside), tuple(tuple(members) for _, members in layers))


def coarsen(ranges: list[Range]) -> list[Range]:
    """At most ``MAX_RANGES`` ranges that cover the given ones, which are ascending and disjoint: the narrowest gaps go.

    For windows this costs work, never rows: merging a row that has no double changes nothing.
    """
    if len(ranges) <= MAX_RANGES:
        return ranges
    by_gap = sorted(range(1, len(ranges)), key=lambda at: ranges[at][0] - ranges[at - 1][1], reverse=True)
    kept = sorted((0, *by_gap[: MAX_RANGES - 1]))
    return [(ranges[start][0], ranges[end - 1][1]) for start, end in zip(kept, (*kept[1:], len(ranges)), strict=True)]


def _shared(ranges: Sequence[Range]) -> list[Range]:
    """The times that at least two of the ranges, ascending by their start, have in common."""
    shared: list[Range] = []
    reach: int | None = None
    for first, last in ranges:
        if reach is not None and first <= reach:
            end = min(reach, last)
            if shared and first <= shared[-1][1]:
                shared[-1] = (shared[-1][0], max(shared[-1][1], end))
            else:
                shared.append((first, end))
        reach = last if reach is None else max(reach, last)
    return shared


def _meets(ranges: Sequence[Range], one: Range) -> bool:
    """Whether ``one`` meets any of the disjoint, ascending ranges."""
    at = bisect_right(ranges, one[1], key=itemgetter(0)) - 1
    return at >= 0 and ranges[at][1] >= one[0]


def _covers(ranges: Sequence[Range], one: Range) -> bool:
    at = bisect_right(ranges, one[0], key=itemgetter(0)) - 1
    return at >= 0 and ranges[at][1] >= one[1]
