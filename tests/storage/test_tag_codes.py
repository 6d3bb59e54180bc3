from __future__ import annotations

import numpy as np
import pyarrow as pa
from headrace.storage.tag_codes import TagDictionary, dictionary_column
from headrace.wal.schema import TAG_TYPE
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

VALUES = st.lists(st.none() | st.text(max_size=4) | st.sampled_from(["a", "b", "host-17"]), max_size=30)


def encode(dictionary: TagDictionary, column: pa.Array) -> list[int]:
    out = np.empty(len(column), np.int32)
    dictionary.encode(column, out)
    return out.tolist()


def tags(values: list[str | None]) -> pa.DictionaryArray:
    return pa.array(values, pa.utf8()).dictionary_encode()


@examples(deadline=None)
@given(st.lists(VALUES, max_size=6))
def test_codes_of_any_batches_stand_for_their_values(batches: list[list[str | None]]) -> None:
    dictionary = TagDictionary()
    seen: list[tuple[list[int], list[str | None]]] = []
    for values in batches:
        seen.append((encode(dictionary, tags(values)), values))
    known = dictionary.values().to_pylist()
    assert len(set(known)) == len(known) == len(dictionary)
    for codes, values in seen:
        assert [known[code] if code >= 0 else None for code in codes] == [value or None for value in values]


@examples(deadline=None)
@given(VALUES, st.integers(0, 30), st.integers(0, 30))
def test_a_slice_of_a_column_is_encoded_as_its_own_rows(values: list[str | None], start: int, count: int) -> None:
    dictionary = TagDictionary()
    column = tags(values)
    whole = encode(dictionary, column)
    assert encode(dictionary, column.slice(start, count)) == whole[start : start + count]


def test_thousands_of_values_are_told_apart() -> None:
    dictionary = TagDictionary()
    values: list[str | None] = [f"value-{n}" for n in range(20_000)]
    codes = encode(dictionary, tags(values))
    assert codes == list(range(20_000))
    assert dictionary.values().to_pylist() == values


def test_values_handed_out_stay_as_they_were_while_the_dictionary_grows() -> None:
    dictionary = TagDictionary()
    encode(dictionary, tags(["a", "b"]))
    early = dictionary.values()
    encode(dictionary, tags([f"value-{n}" for n in range(5_000)]))
    assert early.to_pylist() == ["a", "b"]


def test_a_dictionary_that_batches_share_and_append_to_is_looked_up_once() -> None:
    shared = pa.array([f"host-{n}" for n in range(100)])
    dictionary = TagDictionary()
    indices = pa.array([5, 7], pa.int32())
    for length in (10, 50, 100):
        column = pa.DictionaryArray.from_arrays(indices, shared.slice(0, length))
        assert encode(dictionary, column) == [0, 1]
    other = pa.DictionaryArray.from_arrays(indices, shared.slice(1, 20))
    assert encode(dictionary, other) == [2, 3]


def test_a_dictionary_with_nulls_and_other_types_of_strings_are_taken() -> None:
    dictionary = TagDictionary()
    nulls = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()), pa.array(["a", None, ""]))
    assert encode(dictionary, nulls) == [0, -1, -1]
    assert encode(dictionary, pa.array(["b", "a"], pa.large_utf8())) == [1, 0]


def test_codes_become_a_tag_column() -> None:
    column = dictionary_column(np.array([1, -1, 0], np.int32), pa.array(["a", "b"]))
    assert column.type == TAG_TYPE
    assert column.to_pylist() == ["b", None, "a"]
