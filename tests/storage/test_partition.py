from __future__ import annotations

import itertools

import numpy as np
from headrace.storage.partition import pack, partition_rows
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

TIMES = st.lists(st.integers(-50, 50) | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40)


@examples(deadline=None)
@given(TIMES, st.integers(1, 20), st.integers(1, 50))
def test_groups_are_few_disjoint_and_have_all_rows(times: list[int], width: int, most: int) -> None:
    array = np.array(times, np.int64)
    groups, of = partition_rows(array, None, width, most)
    assert len(groups) <= most
    assert sum(group.rows for group in groups) == len(times)
    assert all(a.last < b.first for a, b in itertools.pairwise(groups))
    for time, index in zip(times, of.tolist(), strict=True):
        assert groups[index].first <= time // width <= groups[index].last
    if len({time // width for time in times}) <= most:
        assert all(group.first == group.last for group in groups)


def test_rows_that_are_not_live_make_no_group() -> None:
    groups, _ = partition_rows(np.array([5, 95, 7]), np.array([True, False, True]), 10, 8)
    assert [(group.first, group.rows) for group in groups] == [(0, 2)]


@examples(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 10))
def test_no_smaller_bound_would_do(counts: list[int], most: int) -> None:
    bounds = pack(np.array(counts), most)
    assert bounds[0] == 0
    assert bounds[-1] == len(counts)
    assert len(bounds) - 1 <= most
    if len(counts) > most:
        shared = [sum(counts[a:b]) for a, b in itertools.pairwise(bounds) if b - a > 1]
        assert fewest(counts, max(shared) - 1) > most


def fewest(counts: list[int], bound: int) -> int:
    """How many runs there are when each is filled up to ``bound``; what is greater stands alone."""
    runs, filled = 0, bound + 1
    for count in counts:
        if filled + count > bound:
            runs, filled = runs + 1, 0
        filled += count
    return runs


def test_scattered_partitions_share_files_and_dense_ones_do_not() -> None:
    counts = np.array([1] * 1000 + [500_000] * 3)
    bounds = pack(counts, 16)
    assert [int(counts[a:b].sum()) for a, b in itertools.pairwise(bounds)][-3:] == [500_000] * 3
