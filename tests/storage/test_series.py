from __future__ import annotations

import numpy as np
from headrace.storage.series import SeriesIndex
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

ROWS = st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 3), st.integers(-1, 1)), max_size=40)


def assign(index: SeriesIndex, rows: list[tuple[int, ...]], tags: int) -> list[int]:
    codes = np.array(rows, np.int32).reshape(len(rows), -1)[:, :tags].T
    return index.assign(np.ascontiguousarray(codes)).tolist()


@examples(deadline=None)
@given(st.lists(ROWS, max_size=4))
def test_rows_are_of_one_series_exactly_if_their_tags_are_the_same(batches: list[list[tuple[int, ...]]]) -> None:
    index = SeriesIndex()
    index.widen(3)
    known: dict[tuple[int, ...], int] = {}
    for rows in batches:
        for row, series in zip(rows, assign(index, rows, 3) if rows else [], strict=True):
            assert known.setdefault(row, series) == series
    assert len(set(known.values())) == len(known) == len(index)
    for row, series in known.items():
        assert tuple(index.keys[series]) == row


def test_a_tag_that_comes_later_is_null_in_the_series_there_were() -> None:
    index = SeriesIndex()
    index.widen(1)
    assert assign(index, [(0,), (1,)], 1) == [0, 1]
    index.widen(2)
    assert assign(index, [(1, -1), (1, 0), (0, -1)], 2) == [1, 2, 0]


def test_without_tags_there_is_one_series() -> None:
    index = SeriesIndex()
    assert index.assign(np.empty((0, 3), np.int32)).tolist() == [0, 0, 0]


def test_many_series_are_told_apart() -> None:
    index = SeriesIndex()
    index.widen(2)
    codes = np.stack([np.repeat(np.arange(300), 300), np.tile(np.arange(300), 300)]).astype(np.int32)
    assert index.assign(codes).tolist() == list(range(90_000))
    assert index.assign(codes[:, ::-1].copy()).tolist() == list(range(90_000))[::-1]


@examples(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 5)), max_size=40))
def test_every_row_that_repeats_a_key_is_a_suspect(rows: list[tuple[int, int]]) -> None:
    index = SeriesIndex()
    index.assign(np.empty((0, 1), np.int32))
    seen = set()
    for series, time in rows:
        suspects = index.suspects(np.array([series], np.int32), np.array([time]))
        assert suspects or (series, time) not in seen
        seen.add((series, time))


def test_rows_in_time_order_are_no_suspects_in_either_direction() -> None:
    index = SeriesIndex()
    series = np.tile(np.arange(10, dtype=np.int32), 100)
    times = np.repeat(np.arange(100), 10)
    assert index.suspects(series, times) == 0
    assert index.suspects(series, -1 - times) == 0
    assert index.suspects(series, times) == 1000
