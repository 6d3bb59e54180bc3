"""Rows in memory against the model: any batches, absorbed at any moment, looked at as of any moment."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa
import pytest
from headrace.storage import table_buffer
from headrace.storage.runs import RUN_ROWS, nulls
from headrace.storage.table_buffer import TableBuffer
from headrace.wal.schema import TAG_TYPE, TIME_TYPE, ColumnType, TableSchema
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.storage.store_lab import Table, keyed, update

SCHEMA = TableSchema(
    "t",
    {
        "a": ColumnType.TAG,
        "b": ColumnType.TAG,
        "i": ColumnType.INTEGER,
        "u": ColumnType.UINTEGER,
        "f": ColumnType.FLOAT,
        "o": ColumnType.BOOLEAN,
        "s": ColumnType.STRING,
        "time": ColumnType.TIME,
    },
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "a": st.sampled_from(["x", "y"]),
    "b": st.sampled_from(["x", "ü"]),
    "i": st.integers(-9, 9),
    "u": st.integers(0, 2**64 - 1),
    "f": st.floats(-1, 1),
    "o": st.booleans(),
    "s": st.text("pq", max_size=3),
}


@st.composite
def batches(draw: st.DrawFn) -> pa.RecordBatch:
    names = draw(st.lists(st.sampled_from(list(VALUES)), unique=True, min_size=1))
    rows = draw(st.integers(1, 6))
    columns = {
        name: pa.array(draw(st.lists(st.none() | VALUES[name], min_size=rows, max_size=rows)), arrow(name))
        for name in names
    }
    times = pa.array(draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows))).cast(TIME_TYPE)
    return pa.record_batch({**columns, "time": times})


def arrow(name: str) -> pa.DataType:
    return SCHEMA.columns[name].arrow


def new_buffer() -> tuple[TableBuffer, list[int]]:
    changes: list[int] = []
    return TableBuffer(1, threading.RLock(), changes.append), changes


@examples(max_examples=150, deadline=None)
@given(st.lists(st.tuples(batches(), st.booleans(), st.booleans()), min_size=1, max_size=10))
def test_a_snapshot_has_the_merge_of_what_was_written_before_it(steps: list[tuple[pa.RecordBatch, bool, bool]]) -> None:
    buffer, changes = new_buffer()
    model: Table = {}
    pins: list[tuple[int, Table]] = []
    for batch, absorb, pin in steps:
        buffer.append(batch, 100)
        for row in range(batch.num_rows):
            update(model, keyed([batch.slice(row, 1)], SCHEMA))
        if absorb:
            buffer.absorb()
        if pin:
            pins.append((buffer.appended, {key: dict(fields) for key, fields in model.items()}))
    pins.append((buffer.appended, model))
    schema = SCHEMA.arrow_schema()
    for count, expected in [*pins, *pins[::-1]]:
        memory = buffer.snapshot(count, schema)
        assert keyed(memory.batches, SCHEMA) == expected
        assert memory.rows == len(expected)
        for batch in memory.batches:
            assert batch.schema == schema
            batch.validate(full=True)
    assert sum(changes) == buffer.nbytes


def rows_of(count: int, *, start: int = 0, tag: str = "x") -> pa.RecordBatch:
    return pa.record_batch(
        {
            "a": pa.array([tag] * count).cast(TAG_TYPE),
            "i": pa.array(range(start, start + count), pa.int64()),
            "time": pa.array(range(start, start + count)).cast(TIME_TYPE),
        }
    )


def test_one_row_batches_become_runs_that_double() -> None:
    buffer, _ = new_buffer()
    for n in range(300):
        buffer.append(rows_of(1, start=n), 100)
        if n % 3 == 0:
            buffer.absorb()
    assert len(buffer.snapshot(300, SCHEMA.arrow_schema()).batches) <= 10


def test_large_batches_are_not_copied() -> None:
    buffer, _ = new_buffer()
    batch = rows_of(RUN_ROWS)
    buffer.append(batch, batch.nbytes)
    (seen,) = buffer.snapshot(RUN_ROWS, SCHEMA.arrow_schema()).batches
    assert seen.column("i").buffers()[1].address == batch.column("i").buffers()[1].address


def test_the_same_rows_are_served_from_a_cache() -> None:
    buffer, _ = new_buffer()
    schema = SCHEMA.arrow_schema()
    buffer.append(rows_of(10), 100)
    first = buffer.snapshot(10, schema).batches[0]
    assert buffer.snapshot(10, schema).batches[0] is first
    buffer.append(rows_of(5), 100)
    assert buffer.snapshot(15, schema).batches[0] is not first


def test_no_run_reaches_across_what_is_being_persisted() -> None:
    buffer, _ = new_buffer()
    buffer.append(rows_of(10), 100)
    buffer.boundary = buffer.appended
    buffer.append(rows_of(10, start=10), 100)
    buffer.absorb()
    buffer.append(rows_of(10, start=20), 100)
    rows = buffer.rows(10)
    assert [run.rows for run in rows.runs] == [10]
    buffer.absorb()
    assert [batch.num_rows for batch, _ in buffer.rest(10)] == [20]


def test_rows_that_cannot_be_taken_in_stay_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer, _ = new_buffer()
    buffer.append(rows_of(10), 100)
    buffer.absorb()
    buffer.append(rows_of(10), 100)

    def fail(*_: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(table_buffer, "fill_nulls", fail)
        with pytest.raises(MemoryError):
            buffer.absorb()
    assert buffer.pending_batches == 1
    assert buffer.pending_rows == 10
    assert buffer.snapshot(20, SCHEMA.arrow_schema()).rows == 10


def test_columns_of_nothing_but_nulls_take_no_memory() -> None:
    for kind in ColumnType:
        column = nulls(kind.arrow, 1000)
        assert column.null_count == 1000
        column.validate(full=True)
    assert nulls(pa.int64(), 10).buffers()[1].address == nulls(pa.float64(), 1000).buffers()[1].address
    assert nulls(pa.int64(), RUN_ROWS + 1).null_count == RUN_ROWS + 1
