from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from headrace.query.cells import JSON, TEXT, cells
from hypothesis import given
from hypothesis import strategies as st


def _json(array: pa.Array[Any]) -> list[Any]:
    return [json.loads(cell) for cell in cells(array, JSON)]


def _text(array: pa.Array[Any]) -> list[str]:
    return [cell.decode() for cell in cells(array, TEXT)]


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (1_641_024_000_000_000_000, "2022-01-01T08:00:00"),
        (1_641_024_000_500_000_000, "2022-01-01T08:00:00.500"),
        (1_641_024_000_000_001_000, "2022-01-01T08:00:00.000001"),
        (1_641_024_000_123_456_789, "2022-01-01T08:00:00.123456789"),
        (0, "1970-01-01T00:00:00"),
        (-1, "1969-12-31T23:59:59.999999999"),
        (2**63 - 1, "2262-04-11T23:47:16.854775807"),
        (-(2**63), "1677-09-21T00:12:43.145224192"),
    ],
)
def test_a_timestamp_has_as_many_digits_as_it_needs(nanoseconds: int, text: str) -> None:
    array = pa.array([0, nanoseconds, None], pa.timestamp("ns"))
    assert _text(array) == ["1970-01-01T00:00:00", text, ""]
    assert _json(array)[1:] == [text, None]
    assert _text(array.cast(pa.timestamp("ns", "UTC")))[1] == text + "Z"


@given(st.lists(st.integers(-(2**63) + 10**10, 2**63 - 1), min_size=1))
def test_timestamps_come_back_as_they_were(values: list[int]) -> None:
    texts = pa.array(_text(pa.array(values, pa.timestamp("ns"))))
    assert texts.cast(pa.timestamp("ns")).cast(pa.int64()).to_pylist() == values


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_coarser_timestamps_look_alike(unit: str) -> None:
    array = pa.array([1_641_024_000_000_000_000], pa.timestamp("ns")).cast(pa.timestamp(unit))
    assert _text(array) == ["2022-01-01T08:00:00"]
    far = pa.array([253_402_300_800], pa.timestamp("s"))
    assert "10000-01-01T00:00:00" in _text(far)[0]


@given(st.lists(st.none() | st.text(), min_size=1), st.sampled_from([pa.utf8(), pa.large_utf8(), pa.string_view()]))
def test_strings_of_any_encoding_are_escaped(values: list[str | None], kind: pa.DataType) -> None:
    array = pa.array(values, pa.utf8())
    for encoded in (array.cast(kind), array.dictionary_encode(), array.cast(kind).slice(0)):
        assert _json(encoded) == values
        assert _text(encoded) == [value or "" for value in values]


def test_a_slice_of_a_large_dictionary_costs_no_more_than_its_rows() -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([99_999, None, 3]), pa.array([f"v{at}" for at in range(100_000)]))
    assert _json(array) == ["v99999", None, "v3"]


@given(st.lists(st.none() | st.floats(), min_size=1))
def test_floats_are_exact_and_json_has_only_finite_ones(values: list[float | None]) -> None:
    array = pa.array(values, pa.float64())
    for value, text in zip(values, _json(array), strict=True):
        finite = value is not None and value == value and abs(value) != float("inf")
        assert text == (value if finite else None)
    read = [repr(float(text)) if text else None for text in _text(array)]
    assert read == [None if value is None else repr(value) for value in values]


@pytest.mark.parametrize(
    ("array", "as_json", "as_text"),
    [
        (pa.array([1.0, None, 0.1]), [1.0, None, 0.1], ["1.0", "", "0.1"]),
        (pa.array([2**64 - 1, None], pa.uint64()), [2**64 - 1, None], ["18446744073709551615", ""]),
        (pa.array([-(2**63)]), [-(2**63)], ["-9223372036854775808"]),
        (pa.array([True, None, False]), [True, None, False], ["true", "", "false"]),
        (pa.array([1, None, -3], pa.int8()), [1, None, -3], ["1", "", "-3"]),
        (pa.nulls(2), [None, None], ["", ""]),
        (pa.array([0, None], pa.date32()), ["1970-01-01", None], ["1970-01-01", ""]),
        (pa.array([b"\x00\xff", None]), ["00ff", None], ["00ff", ""]),
        (pa.array([1_500, 0, -3, None], pa.duration("ms")), ["PT1.5S", "P0D", "-PT0.003S", None], None),
        (
            pa.array([(1, 2, 3_661_000_000_000)], pa.month_day_nano_interval()),
            None,
            ["1 mons 2 days 1 hours 1 mins 1.000000000 secs"],
        ),
        (pa.array([[1, None], [], None]), [[1, None], [], None], ["[1, ]", "[]", ""]),
        (pa.array([["a", 'b"'], None]).slice(0, 1), [["a", 'b"']], ['[a, b"]']),
        (pa.array([{"a": 1, "b": None}, None]), [{"a": 1}, None], ["{a: 1, b: }", ""]),
        (pa.array([[("k", 1)], None], pa.map_(pa.utf8(), pa.int64())), [{"k": 1}, None], ["{k: 1}", ""]),
    ],
)
def test_each_type_has_its_form(array: pa.Array[Any], as_json: list[Any] | None, as_text: list[str] | None) -> None:
    if as_json is not None:
        assert _json(array) == as_json
    if as_text is not None:
        assert _text(array) == as_text


def test_no_rows_are_no_cells() -> None:
    assert cells(pa.array([], pa.float64()), JSON) == []
