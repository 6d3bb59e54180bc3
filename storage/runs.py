"""Stretches of consecutive rows held as one record batch each, and how small ones become large ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from headrace.storage.row_keys import LIVE

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

RUN_ROWS: Final = 1 << 17
"""Runs are joined up to this: 10 million rows are 77 batches, and a join copies a few megabytes."""
RUN_BYTES: Final = 64 << 20
"""And up to this: a column of strings must stay below 2 GB."""


@dataclass(slots=True)
class Run:
    """The rows ``first`` to ``stop``, with the columns they were written with. Tags share the table's dictionaries."""

    first: int
    columns: dict[str, pa.Array]
    rows: int
    min_time: int
    max_time: int
    nbytes: int
    # What a query got: (schema, number of superseded rows left out) and the batch.
    _served: tuple[pa.Schema, int, pa.RecordBatch] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, first: int, columns: dict[str, pa.Array], times: Int64s) -> Run:
        size = sum(_own_bytes(column) for column in columns.values())
        return cls(first, columns, len(times), int(times.min()), int(times.max()), size)

    @property
    def stop(self) -> int:
        return self.first + self.rows

    def batch(self, schema: pa.Schema, superseded: Int64s | None, count: int) -> pa.RecordBatch:
        """The rows below row number ``count`` that no other row below it supersedes, with all columns of ``schema``.

        ``superseded`` is that of this run's rows.
        """
        rows = min(self.rows, count - self.first)
        dead: Bools | None = None
        left_out = 0
        if superseded is not None:
            dead = superseded[:rows] < count
            left_out = int(np.count_nonzero(dead))
        served = self._served
        # Rows are only ever superseded more, so that the same number means the same rows.
        if served is not None and rows == self.rows and served[0] is schema and served[1] == left_out:
            return served[2]
        arrays = [self._column(each) for each in schema]
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        if rows < self.rows:
            batch = batch.slice(0, rows)
        if left_out:
            assert dead is not None
            batch = batch.filter(pa.array(~dead))
        if rows == self.rows:
            self._served = (schema, left_out, batch)
        return batch

    def own_batch(self, superseded: Int64s | None) -> pa.RecordBatch:
        """The live rows, with the columns they were written with."""
        batch = pa.RecordBatch.from_pydict(self.columns)
        live = None if superseded is None else superseded == LIVE
        return batch if live is None or live.all() else batch.filter(pa.array(live))

    def _column(self, field_: pa.Field) -> pa.Array:
        column = self.columns.get(field_.name)
        return nulls(field_.type, self.rows) if column is None else column

    def take(self, name: str, kind: pa.DataType, places: pa.Array) -> pa.Array:
        """Values of a column at places, counted from this run's first row."""
        column = self.columns.get(name)
        return nulls(kind, len(places)) if column is None else column.take(places)


def join_runs(runs: Sequence[Run]) -> Run:
    """One run in place of consecutive ones."""
    kinds = {name: column.type for run in runs for name, column in run.columns.items()}
    columns = {
        name: join_columns([run.columns.get(name, run.rows) for run in runs], kind) for name, kind in kinds.items()
    }
    return Run(
        runs[0].first,
        columns,
        sum(run.rows for run in runs),
        min(run.min_time for run in runs),
        max(run.max_time for run in runs),
        sum(_own_bytes(column) for column in columns.values()),
    )


def join_columns(pieces: Sequence[pa.Array | int], kind: pa.DataType) -> pa.Array:
    """One array from pieces; a number stands for that many nulls. Dictionaries must extend one another."""
    arrays = [nulls(kind, piece) if isinstance(piece, int) else piece for piece in pieces]
    if len(arrays) == 1:
        return arrays[0]
    if not pa.types.is_dictionary(kind):
        return pa.concat_arrays(arrays)
    longest = max((array.dictionary for array in arrays), key=len)
    return pa.DictionaryArray.from_arrays(pa.concat_arrays([array.indices for array in arrays]), longest)


_zeros = pa.py_buffer(bytes(8 * (RUN_ROWS + 1)))


def nulls(kind: pa.DataType, rows: int) -> pa.Array:
    """Nulls that take no memory of their own: all share one buffer of zeros."""
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(nulls(kind.index_type, rows), pa.array([], kind.value_type))
    if rows > RUN_ROWS:
        return pa.nulls(rows, kind)
    buffers = [_zeros, _zeros, pa.py_buffer(b"")] if pa.types.is_string(kind) else [_zeros, _zeros]
    return pa.Array.from_buffers(kind, rows, buffers, null_count=rows)


def _own_bytes(column: pa.Array) -> int:
    """Bytes of an array's buffers, the dictionary (shared) and shared zeros not counted."""
    if isinstance(column, pa.DictionaryArray):
        column = column.indices
    return int(sum(b.size for b in column.buffers() if b is not None and b.address != _zeros.address))


def time_values(column: pa.Array) -> Int64s:
    """A time column's nanoseconds, not copied."""
    _, values = column.buffers()
    return np.frombuffer(values, np.int64, len(column), 8 * column.offset)
