from __future__ import annotations

import pyarrow as pa
from headrace.storage.batches import column_pieces, joined
from headrace.storage.runs import join_columns
from headrace.wal.schema import TAG_TYPE
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

BATCHES = st.lists(
    st.tuples(st.sampled_from([1, 2, 1500]), st.booleans(), st.booleans(), st.sampled_from("xyz")),
    min_size=1,
    max_size=8,
)


def batch(rows: int, tag: bool, field: bool, value: str, start: int) -> pa.RecordBatch:
    columns = {"n": pa.array(range(start, start + rows))}
    if tag:
        columns["tag"] = pa.array([value] * rows).cast(TAG_TYPE)
    if field:
        columns["field"] = pa.array([value] * rows)
    return pa.record_batch(columns)


@examples(deadline=None)
@given(BATCHES)
def test_joined_batches_have_the_same_rows_in_the_same_order(shapes: list[tuple[int, bool, bool, str]]) -> None:
    batches, start = [], 0
    for rows, tag, field, value in shapes:
        batches.append(batch(rows, tag, field, value, start))
        start += rows
    fewer = joined(batches)
    assert len(fewer) <= len(batches)
    assert [row for each in fewer for row in each.to_pylist()] == [row for each in batches for row in each.to_pylist()]
    kinds = {"n": pa.int64(), "field": pa.utf8()}
    for name, kind in kinds.items():
        if any(name in each.schema.names for each in fewer):
            column = join_columns(column_pieces(fewer, name), kind)
            assert column.to_pylist() == [row.get(name) for each in batches for row in each.to_pylist()]


def test_long_batches_are_left_as_they_are() -> None:
    long = batch(5000, True, True, "x", 0)
    assert joined([long]) == [long]
    assert joined([long])[0] is long
