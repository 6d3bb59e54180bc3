from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from headrace.storage.merge import fill_nulls
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int | None], list[int | None], list[int]]:
    """Values of earlier rows (merged already), of new rows, and which row each new one supersedes."""
    earlier = draw(st.lists(st.none() | st.integers(0, 99), max_size=5))
    new = draw(st.lists(st.none() | st.integers(100, 199), min_size=1, max_size=8))
    free = set(range(len(earlier)))
    older = []
    for row in range(len(new)):
        choice = draw(st.sampled_from([-1, *sorted(free)]))
        free.discard(choice)
        older.append(choice)
        free.add(len(earlier) + row)
    return earlier, new, older


@examples(deadline=None)
@given(histories())
def test_a_null_is_filled_with_the_value_of_the_superseded_row(history: Any) -> None:
    earlier, new, older = history
    expected = [*earlier]
    for value, before in zip(new, older, strict=True):
        expected.append(expected[before] if value is None and before >= 0 else value)
    columns = {"i": pa.array(new, pa.int64()), "s": pa.array([None if v is None else str(v) for v in new], pa.utf8())}
    stored = {"i": pa.array(earlier, pa.int64()), "s": pa.array([None if v is None else str(v) for v in earlier])}
    filled = fill_nulls(
        columns,
        np.array(older, np.int64),
        len(earlier),
        lambda rows: lambda name: stored[name].cast(columns[name].type).take(pa.array(rows)),
    )
    assert filled["i"].to_pylist() == expected[len(earlier) :]
    assert filled["s"].to_pylist() == [None if v is None else str(v) for v in expected[len(earlier) :]]


def test_columns_without_nulls_are_left_as_they_are() -> None:
    column = pa.array([1, 2])
    filled = fill_nulls({"i": column}, np.array([-1, 0], np.int64), 0, lambda _: lambda _: column)
    assert filled["i"] is column
