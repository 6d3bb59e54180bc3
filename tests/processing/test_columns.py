from __future__ import annotations

import copy
from typing import Any

import pyarrow as pa
import pytest
from headrace.processing.columns import (
    MalformedColumns,
    UnwritableColumn,
    decode_columns,
    encode_columns,
    pad,
)
from hypothesis import given, settings
from hypothesis import strategies as st

_FIELDS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int64(): st.integers(-(1 << 63), (1 << 63) - 1),
    pa.uint64(): st.integers(0, (1 << 64) - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.utf8(): st.text(max_size=9),
}


@st.composite
def _tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(0, 20))
    columns: dict[str, pa.Array] = {"time": pa.array(range(rows), pa.timestamp("ns"))}
    for index, kind in enumerate(draw(st.lists(st.sampled_from(list(_FIELDS)), max_size=5))):
        columns[f"f{index}"] = pa.array(draw(st.lists(st.none() | _FIELDS[kind], min_size=rows, max_size=rows)), kind)
    texts = st.none() | st.sampled_from(["Kitchen", "Küche", ""])
    columns["tag"] = pa.array(draw(st.lists(texts, min_size=rows, max_size=rows)), pa.utf8())
    table = pa.table(columns)
    start = draw(st.integers(0, rows))
    part = table.slice(start, draw(st.integers(0, rows - start)))
    return pa.concat_tables([part, table]) if draw(st.booleans()) else part


def _round_trip(table: pa.Table, tags: list[str]) -> pa.RecordBatch:
    rows, columns, buffers = encode_columns(table, tags)
    return decode_columns(rows, columns, memoryview(b"".join(pad(buffers))))


def _python(data: pa.Table | pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows with times as integers."""
    position = data.schema.get_field_index("time")
    rows: list[dict[str, Any]] = data.set_column(position, "time", data.column("time").cast(pa.int64())).to_pylist()
    return rows


@settings(deadline=None)
@given(_tables())
def test_columns_arrive_as_they_were_sent(table: pa.Table) -> None:
    batch = _round_trip(table, ["tag"])
    assert batch.schema.field("tag").type == pa.dictionary(pa.int32(), pa.utf8())
    assert _python(batch) == _python(table)


def test_narrow_and_wide_types_become_those_of_a_table() -> None:
    table = pa.table(
        {
            "time": pa.array([1, 2], pa.timestamp("ms", tz="Europe/Berlin")),
            "small": pa.array([1, None], pa.int8()),
            "unsigned": pa.array([1, 2], pa.uint16()),
            "single": pa.array([1.5, 2.5], pa.float32()),
            "large": pa.array(["a", None], pa.large_utf8()),
            "view": pa.array(["a", "b"], pa.string_view()),
            "labels": pa.array(["a", "b"]).dictionary_encode(),
            "tag": pa.array([7, 8]),
            "nothing": pa.nulls(2),
        }
    )
    batch = _round_trip(table, ["tag"])
    assert dict(zip(batch.schema.names, batch.schema.types, strict=True)) == {
        "time": pa.timestamp("ns"),
        "small": pa.int64(),
        "unsigned": pa.uint64(),
        "single": pa.float64(),
        "large": pa.utf8(),
        "view": pa.utf8(),
        "labels": pa.utf8(),
        "tag": pa.dictionary(pa.int32(), pa.utf8()),
    }
    assert batch.column("time").cast(pa.int64()).to_pylist() == [1_000_000, 2_000_000]
    assert batch.column("tag").to_pylist() == ["7", "8"]


def test_chunks_with_dictionaries_of_their_own_are_one_column() -> None:
    chunks = [pa.array(["a", "b"]).dictionary_encode(), pa.array(["c", "a"]).dictionary_encode()]
    batch = _round_trip(pa.table({"tag": pa.chunked_array(chunks)}), ["tag"])
    assert batch.column("tag").to_pylist() == ["a", "b", "c", "a"]


@pytest.mark.parametrize("column", [pa.array([[1], [2]]), pa.array([b"a", b"b"]), pa.array([1, 2], pa.timestamp("s"))])
def test_a_column_that_no_table_can_hold_is_named(column: pa.Array) -> None:
    with pytest.raises(UnwritableColumn, match="column 'odd' is of type"):
        encode_columns(pa.table({"odd": column}), [])


def test_a_time_that_does_not_fit_into_nanoseconds_is_refused() -> None:
    with pytest.raises(UnwritableColumn, match="column 'time'"):
        encode_columns(pa.table({"time": pa.array([1 << 40], pa.timestamp("s"))}), [])


def test_a_column_that_occurs_twice_is_refused() -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    with pytest.raises(UnwritableColumn, match="twice"):
        encode_columns(table, [])


@settings(deadline=None)
@given(_tables(), st.data())
def test_a_changed_description_is_refused_or_still_valid(table: pa.Table, data: st.DataObject) -> None:
    rows, columns, buffers = encode_columns(table, ["tag"])
    payload = b"".join(pad(buffers))
    forged = copy.deepcopy(columns)
    column = data.draw(st.sampled_from(forged))
    odd = st.integers(-2, 40) | st.none() | st.text(max_size=3) | st.just([])
    if data.draw(st.booleans()):
        lengths = column[2]
        lengths[data.draw(st.integers(0, len(lengths) - 1))] = data.draw(odd)
    else:
        column[data.draw(st.integers(0, len(column) - 1))] = data.draw(odd)
    try:
        batch = decode_columns(data.draw(st.sampled_from([rows, rows + 1, -1])), forged, memoryview(payload))
    except MalformedColumns:
        return
    batch.validate(full=True)


@settings(deadline=None)
@given(_tables(), st.data())
def test_changed_bytes_are_refused_or_still_valid(table: pa.Table, data: st.DataObject) -> None:
    rows, columns, buffers = encode_columns(table, ["tag"])
    payload = bytearray(b"".join(pad(buffers)))
    for _ in range(data.draw(st.integers(1, 4)) if payload else 0):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        batch = decode_columns(rows, columns, memoryview(payload))
    except MalformedColumns:
        return
    batch.validate(full=True)
    assert len(_python(batch)) == rows
