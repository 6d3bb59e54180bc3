from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from headrace.wal.batch_stream import decode_batch, encode_batch
from headrace.wal.errors import WalDamaged
from headrace.wal.schema import TAG_TYPE, TIME_TYPE


def wide(rows: int) -> pa.RecordBatch:
    """A batch with a column of every kind, with nulls in all but the time."""
    every = range(rows)
    return pa.record_batch(
        {
            "time": pa.array(every, pa.int64()).cast(TIME_TYPE),
            "tag": pa.array([None if n % 7 == 0 else f"host{n % 13}" for n in every], pa.utf8()).cast(TAG_TYPE),
            "f": pa.array([None if n % 5 == 0 else n / 3 for n in every], pa.float64()),
            "i": pa.array([None if n % 3 == 0 else -n for n in every], pa.int64()),
            "u": pa.array([None if n % 4 == 0 else 2**63 + n for n in every], pa.uint64()),
            "b": pa.array([None if n % 6 == 0 else n % 2 == 0 for n in every], pa.bool_()),
            "s": pa.array([None if n % 9 == 0 else "é" * (n % 20) for n in every], pa.utf8()),
        }
    )


def joined(batch: pa.RecordBatch) -> bytes:
    return b"".join(encode_batch(batch))


@pytest.mark.parametrize("rows", [0, 1, 100, 584, 586, 20_000])
def test_the_stream_is_the_one_that_arrow_writes(rows: int) -> None:
    batch = wide(rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    assert joined(batch) == sink.getvalue().to_pybytes()


@pytest.mark.parametrize(("start", "length"), [(0, 0), (1, 3), (8, 5_000), (13, 10_001), (19_999, 1)])
def test_a_slice_comes_back_as_a_batch_of_its_own(start: int, length: int) -> None:
    part = wide(20_000).slice(start, length)
    back = decode_batch(pa.py_buffer(joined(part)))
    back.validate(full=True)
    assert back == part
    assert back.schema == part.schema


def test_large_buffers_are_not_copied() -> None:
    values = np.arange(100_000)
    batch = pa.record_batch({"a": pa.array(values), "b": pa.array(values / 2)})
    shared = {piece.address for piece in encode_batch(batch) if isinstance(piece, pa.Buffer)}
    assert shared == {column.buffers()[1].address for column in batch.columns}


def test_many_small_buffers_become_few_pieces() -> None:
    batch = pa.record_batch({f"c{number}": pa.array(range(100)) for number in range(200)})
    assert len(encode_batch(batch)) < 10


def test_pieces_keep_the_memory_of_their_batch_alive() -> None:
    pieces = encode_batch(pa.record_batch({"a": pa.array(np.full(1_000_000, 7))}))
    trash = [np.zeros(1_000_000, np.int64) for _ in range(5)]
    back = decode_batch(pa.py_buffer(b"".join(pieces)))
    assert len(trash) == 5
    assert (back.column(0).to_numpy() == 7).all()


@pytest.mark.parametrize("body", [b"", b"not arrow at all", joined(wide(3))[:200]])
def test_what_is_no_stream_is_damage(body: bytes) -> None:
    with pytest.raises(WalDamaged, match="rows that are not an Arrow IPC stream"):
        decode_batch(pa.py_buffer(body))
