from __future__ import annotations

import gc
from itertools import pairwise

import pyarrow as pa
from headrace.query.memory_ranges import MemoryRanges, ranges_of
from headrace.query.overlap import MAX_RANGES
from hypothesis import given
from hypothesis import strategies as st

SECOND = 1_000_000_000


def _batch(times: list[int]) -> pa.RecordBatch:
    return pa.record_batch({"time": pa.array(times, pa.timestamp("ns"))})


def test_a_late_row_has_a_range_of_its_own() -> None:
    times = [5, *range(3_600 * SECOND, 3_660 * SECOND, SECOND)]
    (late, rest) = ranges_of(_batch(times))
    assert late[0] == 5
    assert late[1] < 2 * SECOND
    assert rest == (rest[0], 3_659 * SECOND)
    assert 3_599 * SECOND < rest[0] <= 3_600 * SECOND


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=50))
def test_every_row_is_in_a_range(times: list[int]) -> None:
    ranges = ranges_of(_batch(times))
    assert len(ranges) <= MAX_RANGES
    assert (ranges[0][0], ranges[-1][1]) == (min(times), max(times))
    assert all(any(first <= time <= last for first, last in ranges) for time in times)
    assert all(one[1] < other[0] for one, other in pairwise(ranges))


def test_ranges_are_remembered_while_the_batch_lives() -> None:
    known = MemoryRanges()
    batch = _batch([1, 2])
    assert known.of([batch]) == [(1, 2)]
    assert known._of(batch) is known._of(batch)
    del batch
    gc.collect()
    assert not known._known


def test_the_ranges_of_several_batches_are_joined() -> None:
    known = MemoryRanges()
    assert known.of([_batch([1, 9]), _batch([5, 12]), _batch([100 * SECOND])]) == [
        (1, 12),
        (100 * SECOND, 100 * SECOND),
    ]
    assert known.of([]) == []
