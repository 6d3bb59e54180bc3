from __future__ import annotations

import numpy as np
from headrace.storage.row_keys import LIVE, RowKeys
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 3)), max_size=30)


def append(keys: RowKeys, rows: list[tuple[int, int]], *, suspects: int) -> list[int]:
    series = np.array([row[0] for row in rows], np.int32)
    times = np.array([row[1] for row in rows], np.int64)
    older = keys.append(series, times, suspects=suspects)
    return [-1] * len(rows) if older is None else older.tolist()


@examples(deadline=None)
@given(st.lists(ROWS, max_size=5), st.integers(0, 4))
def test_each_row_supersedes_the_last_one_with_its_key(batches: list[list[tuple[int, int]]], lazy: int) -> None:
    keys = RowKeys()
    last: dict[tuple[int, int], int] = {}
    superseded: dict[int, int] = {}
    row = 0
    for number, rows in enumerate(batches):
        fresh = len(set(rows)) == len(rows) and not any(each in last for each in rows)
        found = append(keys, rows, suspects=0 if fresh and number < lazy else 1)
        for key, older in zip(rows, found, strict=True):
            assert older == last.get(key, -1)
            if key in last:
                superseded[last[key]] = row
            last[key] = row
            row += 1
    states = keys.superseded(0, row)
    assert [LIVE if states is None else int(states[at]) for at in range(row)] == [
        superseded.get(at, LIVE) for at in range(row)
    ]


def test_nothing_is_kept_for_rows_without_suspects() -> None:
    keys = RowKeys()
    append(keys, [(0, 1), (0, 2)], suspects=0)
    assert keys.superseded(0, 2) is None


def test_a_failed_append_is_taken_back() -> None:
    keys = RowKeys()
    append(keys, [(0, 1), (0, 2)], suspects=0)
    assert append(keys, [(0, 1)], suspects=1) == [0]
    keys.forget_from(2)
    assert len(keys) == 2
    assert append(keys, [(0, 2)], suspects=1) == [1]
    states = keys.superseded(0, 3)
    assert states is not None
    assert states.tolist() == [LIVE, 2, LIVE]


def test_ten_thousands_of_keys_are_found_again() -> None:
    keys = RowKeys()
    rows = [(n % 7, n) for n in range(20_000)]
    append(keys, rows, suspects=1)
    assert append(keys, rows[::-1], suspects=1) == list(range(20_000))[::-1]
