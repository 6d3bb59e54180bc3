from __future__ import annotations

from typing import Any

import pyarrow as pa
from headrace.processing.rows import result_rows, written_rows
from hypothesis import given, settings
from hypothesis import strategies as st

_VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int64(): st.integers(-(1 << 63), (1 << 63) - 1),
    pa.uint64(): st.integers(0, (1 << 64) - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.utf8(): st.text(),
    pa.dictionary(pa.int32(), pa.utf8()): st.text(),
}


@st.composite
def _batches(draw: st.DrawFn) -> pa.RecordBatch:
    rows = draw(st.integers(0, 12))
    arrays: dict[str, pa.Array] = {}
    for index, kind in enumerate(draw(st.lists(st.sampled_from(list(_VALUES)), max_size=6))):
        values = draw(st.lists(st.none() | _VALUES[kind], min_size=rows, max_size=rows))
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        array = pa.array(values, plain)
        arrays[f"c{index}"] = array.dictionary_encode() if pa.types.is_dictionary(kind) else array
    arrays["time"] = pa.array(range(rows), pa.timestamp("ns"))
    batch = pa.record_batch(arrays)
    start = draw(st.integers(0, rows))
    return batch.slice(start, draw(st.integers(0, rows - start)))


def _expected(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    position = batch.schema.get_field_index("time")
    return batch.set_column(position, "time", batch.column("time").cast(pa.int64())).to_pylist()


@settings(deadline=None)
@given(_batches())
def test_query_rows_are_what_pyarrow_would_say_with_times_as_integers(batch: pa.RecordBatch) -> None:
    assert result_rows(batch) == _expected(batch)


@settings(deadline=None)
@given(_batches())
def test_written_rows_leave_out_what_a_row_has_no_value_for(batch: pa.RecordBatch) -> None:
    expected = [{name: value for name, value in row.items() if value is not None} for row in _expected(batch)]
    assert written_rows(batch) == expected


def test_other_units_of_time_become_nanoseconds() -> None:
    batch = pa.record_batch({"t": pa.array([1, None], pa.timestamp("ms")), "d": pa.array([1.5, 2.5], pa.float32())})
    assert result_rows(batch) == [{"t": 1_000_000, "d": 1.5}, {"t": None, "d": 2.5}]


def test_string_views_and_large_strings_are_strings() -> None:
    batch = pa.record_batch({"v": pa.array(["a", None], pa.string_view()), "l": pa.array(["b", "c"], pa.large_utf8())})
    assert result_rows(batch) == [{"v": "a", "l": "b"}, {"v": None, "l": "c"}]


def test_columns_without_a_single_value_are_none_or_absent() -> None:
    kinds = (pa.int64(), pa.bool_(), pa.utf8(), pa.float64(), pa.timestamp("ms"), pa.null())
    columns = [pa.array([1, 2]), *(pa.nulls(2, kind) for kind in kinds), pa.nulls(2, pa.utf8()).dictionary_encode()]
    names = [f"c{index}" for index in range(len(columns))]
    batch = pa.RecordBatch.from_arrays(columns, names)
    assert result_rows(batch) == [{**dict.fromkeys(names), "c0": 1}, {**dict.fromkeys(names), "c0": 2}]
    assert written_rows(batch) == [{"c0": 1}, {"c0": 2}]


def test_of_two_columns_with_one_name_the_later_one_counts() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([1, None]), pa.array([None, 4])], ["a", "a"])
    assert result_rows(batch) == [{"a": None}, {"a": 4}]
