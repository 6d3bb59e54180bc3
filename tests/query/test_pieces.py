from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from headrace.query.engine import QueryEngine
from headrace.query.errors import ResultTooLarge
from headrace.query.formats import ResultFormat, encode
from headrace.query.pieces import in_pieces


def test_small_batches_stay_as_they_are() -> None:
    batch = pa.record_batch({"a": range(100), "b": [[1, 2]] * 100})
    assert list(in_pieces([batch, batch.slice(0, 0)])) == [batch, batch.slice(0, 0)]


def test_large_rows_come_few_at_a_time_and_all_of_them() -> None:
    lists = pa.ListArray.from_arrays(range(0, 5_000_001, 50_000), np.arange(5_000_000))
    batch = pa.record_batch({"a": range(100), "b": lists})
    pieces = list(in_pieces([batch]))
    assert pa.Table.from_batches(pieces) == pa.Table.from_batches([batch])
    assert 4 < max(piece.num_rows for piece in pieces) < 25


def test_rows_that_share_a_dictionary_are_small() -> None:
    words = pa.array(["x" * 1_000_000 for _ in range(20)])
    tags = pa.DictionaryArray.from_arrays(pa.array(np.arange(8_192) % 20, pa.int32()), words)
    assert len(list(in_pieces([pa.record_batch({"tag": tags})]))) == 1


@pytest.mark.parametrize("format_", ResultFormat)
def test_a_row_too_large_to_be_written_is_refused(format_: ResultFormat, engine: QueryEngine) -> None:
    result = engine.sql("db", "SELECT array_agg(value) FROM range(5000000)")
    with pytest.raises(ResultTooLarge, match=r"takes 7\d MiB, more than 64 MiB") as failure:
        for _ in encode(result, format_):
            pass
    assert failure.value.status == 400
