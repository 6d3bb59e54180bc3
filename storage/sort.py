"""The order in which rows are written to files: by tags, then time.

Rows are not compared with each other. The few series are put in order by their tag values; the many
rows are dealt out to them by counting, which keeps the order of writing; only a series that was not
written in time order is sorted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from headrace.storage.kernel import kernel

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def value_ranks(values: pa.Array) -> Int32s:
    """The place of each of these distinct strings in their order by code point."""
    order = pc.sort_indices(values).to_numpy()
    ranks = np.empty(len(values), np.int32)
    ranks[order] = np.arange(len(values), dtype=np.int32)
    return ranks


def series_ranks(keys: Int32s, values: Sequence[pa.Array], order: Sequence[int]) -> Int32s:
    """The place of each series among all, nulls last.

    ``keys`` has a series a row and a tag a column, ``values`` the strings the codes stand for;
    ``order`` names the columns to sort by, the most significant first.
    """
    if not len(keys):
        return np.empty(0, np.int32)
    columns = []
    for tag in order:
        codes = keys[:, tag]
        # One place more than there are values: that is where code -1 ends up.
        ranks = np.append(value_ranks(values[tag]), np.int32(len(values[tag])))
        columns.append(ranks[codes])
    ranked = np.lexsort(columns[::-1]) if columns else np.arange(len(keys))
    places = np.empty(len(keys), np.int32)
    places[ranked] = np.arange(len(keys), dtype=np.int32)
    return places


def sorted_rows(ranks: Int32s, series: Int32s, times: Int64s, live: Bools | None) -> Int64s:
    """The numbers of the live rows in the order of their series' ranks, then time.

    Two live rows never have the same series and time.
    """
    mask = np.empty(0, np.bool_) if live is None else live
    order: Int64s = _deal(ranks, series, mask)
    _sort_series(order, series, times)
    return order


def split_by_group(order: Int64s, groups: Int32s, count: int) -> list[Int64s]:
    """``order`` cut into ``count`` parts by each row's group; the order inside the parts stays."""
    if count == 1:
        return [order]
    dealt, starts = _deal_groups(order, groups, count)
    return [dealt[starts[group] : starts[group + 1]] for group in range(count)]


@kernel
def _deal(ranks, series, live):  # type: ignore[no-untyped-def]
    starts = np.zeros(len(ranks) + 1, np.int64)
    masked = len(live) > 0
    for row in range(len(series)):
        if not masked or live[row]:
            starts[ranks[series[row]] + 1] += 1
    for rank in range(len(ranks)):
        starts[rank + 1] += starts[rank]
    order = np.empty(starts[len(ranks)], np.int64)
    for row in range(len(series)):
        if not masked or live[row]:
            rank = ranks[series[row]]
            order[starts[rank]] = row
            starts[rank] += 1
    return order


@kernel
def _sort_series(order, series, times):  # type: ignore[no-untyped-def]
    start, count = 0, len(order)
    while start < count:
        each = series[order[start]]
        stop = start + 1
        ascending = True
        while stop < count and series[order[stop]] == each:
            if times[order[stop]] < times[order[stop - 1]]:
                ascending = False
            stop += 1
        if not ascending:
            rows = order[start:stop].copy()
            places = np.argsort(times[rows])
            for index in range(stop - start):
                order[start + index] = rows[places[index]]
        start = stop


@kernel
def _deal_groups(order, groups, count):  # type: ignore[no-untyped-def]
    starts = np.zeros(count + 1, np.int64)
    for place in range(len(order)):
        starts[groups[order[place]] + 1] += 1
    for group in range(count):
        starts[group + 1] += starts[group]
    bounds = starts.copy()
    dealt = np.empty(len(order), np.int64)
    for place in range(len(order)):
        row = order[place]
        group = groups[row]
        dealt[starts[group]] = row
        starts[group] += 1
    return dealt, bounds
