from __future__ import annotations

import numpy as np
import pyarrow as pa
from headrace.storage.sort import series_ranks, sorted_rows, split_by_group, value_ranks
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

KEYS = st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 2)), min_size=1, max_size=10, unique=True)
VALUES = st.lists(st.text(max_size=3), min_size=3, max_size=3, unique=True)


@examples(deadline=None)
@given(KEYS, VALUES, VALUES, st.permutations([0, 1]))
def test_series_are_ordered_by_tag_values_nulls_last(
    keys: list[tuple[int, int]], first: list[str], second: list[str], order: list[int]
) -> None:
    values = [first, second]

    def readable(key: tuple[int, int]) -> list[tuple[bool, bytes]]:
        return [(key[tag] < 0, values[tag][key[tag]].encode() if key[tag] >= 0 else b"") for tag in order]

    ranks = series_ranks(np.array(keys, np.int32), [pa.array(each) for each in values], order)
    assert [keys[at] for at in np.argsort(ranks)] == sorted(keys, key=readable)


def test_strings_are_ordered_by_code_point() -> None:
    values = ["b", "ä", "a", "😀", "B", "\uffff"]
    ranks = value_ranks(pa.array(values))
    assert [values[at] for at in np.argsort(ranks)] == sorted(values)


@examples(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(-9, 9), st.booleans()), max_size=40), st.permutations(range(5))
)
def test_live_rows_are_ordered_by_series_then_time(rows: list[tuple[int, int, bool]], places: list[int]) -> None:
    series = np.array([row[0] for row in rows], np.int32)
    times = np.array([row[1] for row in rows], np.int64)
    live = np.array([row[2] for row in rows], np.bool_)
    ranks = np.array(places, np.int32)
    order = sorted_rows(ranks, series, times, live).tolist()
    assert sorted(order) == np.flatnonzero(live).tolist()
    keys = [(places[rows[at][0]], rows[at][1]) for at in order]
    assert keys == sorted(keys)
    assert len(sorted_rows(ranks, series, times, None)) == len(rows)


@examples(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=30))
def test_groups_keep_the_order(groups: list[int]) -> None:
    order = np.arange(len(groups))[::-1].copy()
    parts = split_by_group(order, np.array(groups, np.int32), 4)
    assert [part.tolist() for part in parts] == [[at for at in order if groups[at] == group] for group in range(4)]
