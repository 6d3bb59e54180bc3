from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from headrace.storage.errors import InvalidColumns
from headrace.storage.table_columns import fit_columns
from headrace.wal.schema import TAG_TYPE, TIME_TYPE, ColumnType, TableSchema
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_764_115_200_000_000_000
HOME = TableSchema("home").with_columns(
    {"room": ColumnType.TAG, "temp": ColumnType.FLOAT, "co": ColumnType.INTEGER, "note": ColumnType.STRING}
)


def fit(data: pa.RecordBatch, *tags: str, schema: TableSchema | None = None) -> pa.RecordBatch:
    return fit_columns("home", data, tags, schema, NOW).batch


def column(array: pa.Array, name: str = "x") -> pa.Array:
    return fit(pa.record_batch({name: array, "other": pa.array([1.0] * len(array))})).column(name)


@pytest.mark.parametrize(
    ("data_type", "kind"),
    [
        *((pa_type, ColumnType.INTEGER) for pa_type in (pa.int8(), pa.int16(), pa.int32(), pa.int64())),
        *((pa_type, ColumnType.UINTEGER) for pa_type in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())),
        *((pa_type, ColumnType.FLOAT) for pa_type in (pa.float32(), pa.float64())),
    ],
)
def test_numbers_are_widened_to_64_bits(data_type: pa.DataType, kind: ColumnType) -> None:
    fitted = fit_columns("home", pa.record_batch({"x": pa.array([1, None, 2], data_type)}), (), None, NOW)
    assert fitted.new_columns == {"x": kind}
    assert fitted.batch.column("x").to_pylist() == [1, None, 2]
    assert fitted.batch.schema.field("x").type == kind.arrow


def test_half_floats_and_booleans_are_fields() -> None:
    assert column(pa.array(np.array([1.5], np.float16))).type == pa.float64()
    assert column(pa.array([True, None])).to_pylist() == [True, None]


TEXTS = [
    pa.array(["a", None, "b"], pa.utf8()),
    pa.array(["a", None, "b"], pa.large_utf8()),
    pa.array(["a", None, "b"], pa.string_view()),
    pa.array(["a", None, "b"]).dictionary_encode(),
    pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.int8()), pa.array(["a", "b"], pa.large_utf8())),
    pa.DictionaryArray.from_arrays(pa.array([0, 2, 1], pa.uint32()), pa.array(["a", "b", None])),
    pa.DictionaryArray.from_arrays(pa.array([0, 2, 1], pa.int32()), pa.array(["a", "b", None])),
    pa.array(["z", "a", None, "b"]).slice(1),
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: str(text.type))
def test_text_of_any_layout_is_a_tag_or_a_field(text: pa.Array) -> None:
    as_tag = fit(pa.record_batch({"x": text, "other": [1.0, 1.0, 1.0]}), "x").column("x")
    as_field = column(text)
    assert (as_tag.type, as_field.type) == (TAG_TYPE, pa.utf8())
    assert as_tag.to_pylist() == as_field.to_pylist() == ["a", None, "b"]
    assert not as_tag.dictionary.null_count


def test_a_tag_that_has_the_right_layout_is_taken_as_it_is() -> None:
    room = pa.array(["Kitchen", "Bath"]).dictionary_encode()
    assert fit(pa.record_batch({"room": room, "temp": [1.0, 2.0]}), "room").column("room").equals(room)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (pa.array([1, -1], pa.timestamp("s")), [10**9, -(10**9)]),
        (pa.array([1, 2], pa.timestamp("ms")), [10**6, 2 * 10**6]),
        (pa.array([1, 2], pa.timestamp("us", "Europe/Berlin")), [1000, 2000]),
        (pa.array([1, 2], pa.timestamp("ns")), [1, 2]),
        (pa.array([1, 2], pa.int64()), [1, 2]),
        (pa.array([1, 2], pa.uint32()), [1, 2]),
        (pa.array([datetime(1970, 1, 2, tzinfo=UTC)] * 2), [86_400 * 10**9] * 2),
    ],
)
def test_times_become_nanoseconds(times: pa.Array, expected: list[int]) -> None:
    found = fit(pa.record_batch({"time": times, "temp": [1.0, 2.0]}))
    assert found.column("time").type == TIME_TYPE
    assert not found.schema.field("time").nullable
    assert found.column("time").cast(pa.int64()).to_pylist() == expected


def test_rows_without_a_time_get_the_default() -> None:
    found = fit(pa.record_batch({"temp": [1.0, 2.0]}))
    assert found.column("time").cast(pa.int64()).to_pylist() == [NOW, NOW]


def test_tags_come_first_in_the_order_given() -> None:
    data = pa.record_batch({"temp": [1.0], "a": ["x"], "b": ["y"], "note": ["n"]})
    fitted = fit_columns("home", data, ("b", "a"), None, NOW)
    assert list(fitted.new_columns) == ["b", "a", "temp", "note"]
    assert fitted.batch.schema.names == ["b", "a", "temp", "note", "time"]


def test_columns_that_say_nothing_are_left_out() -> None:
    data = pa.record_batch({"temp": [1.0], "null": pa.nulls(1), "empty": pa.nulls(1, pa.float64()), "t": pa.nulls(1)})
    assert fit(data, "t").schema.names == ["temp", "time"]


def test_metadata_is_not_stored() -> None:
    schema = pa.schema([pa.field("temp", pa.float64(), metadata={"secret": "1"})], metadata={"pandas": "{}"})
    found = fit(pa.record_batch([pa.array([1.0])], schema=schema)).schema
    assert found.metadata is None
    assert found.field("temp").metadata is None


@pytest.mark.parametrize(
    ("data", "tags", "message"),
    [
        ({"temp": [1]}, (), r"table 'home': column 'temp' is float64, not int64$"),
        ({"co": pa.array([1], pa.uint8())}, (), r"column 'co' is int64, not uint64"),
        ({"room": ["a"], "temp": [1.0]}, (), r"column 'room' is tag, not utf8; name it among the tags"),
        ({"note": ["a"], "temp": [1.0]}, ("note",), r"column 'note' is utf8, not tag; do not name it among the tags"),
        ({"room": [7], "temp": [1.0]}, ("room",), r"tag 'room' must hold text, not int64"),
        ({"room": ["a"], "temp": [1.0]}, ("roon",), r"no column for tag 'roon'; did you mean 'room'\?"),
        ({"room": ["a"], "temp": [1.0]}, ("room", "room"), r"a tag is named twice"),
        ({"time": [1], "temp": [1.0]}, ("time",), r"'time' cannot be a tag"),
        ({"x": [[1, 2]]}, (), r"column 'x' has type list<.*>; a field is a float, an integer, a boolean or text"),
        ({"x": [b"raw"]}, (), r"column 'x' has type binary"),
        ({"x": pa.array([1], pa.timestamp("s"))}, (), r"column 'x' has type timestamp\[s\]"),
        ({"time": pa.array([1, None], pa.timestamp("s")), "temp": [1.0, 2.0]}, (), r"1 of 2 times are null"),
        ({"time": pa.array([2**62], pa.timestamp("s")), "temp": [1.0]}, (), r"does not fit into 64 bits"),
        ({"time": pa.array([2**63], pa.uint64()), "temp": [1.0]}, (), r"does not fit into 64 bits"),
        ({"time": ["now"], "temp": [1.0]}, (), r"column 'time' has type string; it must hold timestamps"),
        ({"room": ["a"]}, ("room",), r"rows need a field, but there are only 'room'"),
        ({"time": [1]}, (), r"rows need a field, but there are only 'time'"),
        ({"x": pa.nulls(1)}, (), r"rows need a field, but there are only no columns with values"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(data: dict[str, object], tags: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidColumns, match=message) as caught:
        fit(pa.record_batch(data), *tags, schema=HOME)
    assert caught.value.status == 400


def test_a_column_that_is_there_twice_is_refused() -> None:
    twice = pa.RecordBatch.from_arrays([pa.array([1.0])] * 2, names=["temp", "temp"])
    with pytest.raises(InvalidColumns, match="column 'temp' is there twice"):
        fit(twice)


def damaged() -> list[pa.RecordBatch]:
    """Batches whose buffers point outside of themselves, as a hostile process may send."""
    offsets = pa.py_buffer(np.array([0, 1_000_000, 5], np.int32))
    beyond = pa.Array.from_buffers(pa.utf8(), 2, [None, offsets, pa.py_buffer(b"hello")])
    not_text = pa.Array.from_buffers(
        pa.utf8(), 2, [None, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"\xff\xfe")]
    )
    indices = pa.array([0, 99], pa.int32())
    lost = pa.DictionaryArray.from_arrays(indices, pa.array(["a"]), safe=False)
    return [
        pa.RecordBatch.from_arrays([each, pa.array([1.0, 2.0])], names=["x", "y"]) for each in (beyond, not_text, lost)
    ]


@pytest.mark.parametrize("data", damaged(), ids=["offsets", "utf8", "indices"])
def test_damaged_buffers_are_refused_before_they_are_used(data: pa.RecordBatch) -> None:
    for tags in ((), ("x",)):
        with pytest.raises(InvalidColumns, match="the columns are damaged"):
            fit(data, *tags)


@given(
    st.lists(
        st.tuples(st.integers(-(2**63), 2**63 - 1), st.none() | st.text(), st.none() | st.floats(allow_nan=False)),
        min_size=1,
    )
)
def test_values_come_out_as_they_went_in(rows: list[tuple[int, str | None, float | None]]) -> None:
    times, rooms, temps = zip(*rows, strict=True)
    data = pa.record_batch(
        {
            "time": pa.array(times, pa.int64()),
            "room": pa.array(rooms, pa.utf8()),
            "temp": pa.array(temps, pa.float64()),
            "n": pa.array(range(len(rows)), pa.int32()),
        }
    )
    found = fit(data, "room")
    assert found.column("time").cast(pa.int64()).to_pylist() == list(times)
    assert found.column("room").to_pylist() == list(rooms)
    if any(temp is not None for temp in temps):
        assert found.column("temp").to_pylist() == list(temps)
