"""The rows of one table that are in no file yet.

Rows come in as the batches of committed frames, at no cost: they are only listed. Whoever needs them
(a query, a persist, the background thread when much has come in) absorbs the list: series are
numbered, duplicates found and merged, small batches joined into runs.

Every row has a number, in the order of writing. A snapshot is a number of rows: what came later is
left out, and a row counts unless a row within the snapshot supersedes it. So a snapshot can be
looked at long after it was taken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from headrace.storage.batches import column_pieces, joined
from headrace.storage.merge import Gather, fill_nulls
from headrace.storage.row_keys import RowKeys
from headrace.storage.runs import RUN_BYTES, RUN_ROWS, Run, join_columns, join_runs, time_values
from headrace.storage.series import SeriesIndex
from headrace.storage.snapshot import NO_ROWS, MemoryRows
from headrace.storage.tag_codes import TagDictionary, dictionary_column
from headrace.wal.schema import TIME_COLUMN, TableSchema

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# A batch's Python and Arrow objects, which for one-row batches are most of its memory.
_BATCH_BYTES: Final = 1024
_COLUMN_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class Pending:
    """A batch not yet absorbed."""

    batch: pa.RecordBatch
    bytes: int


@dataclass(frozen=True, slots=True)
class TableRows:
    """The rows of a table up to a number, as a persist takes them."""

    table_id: int
    runs: tuple[Run, ...]
    series: Int32s
    """The series of each row; ``keys`` has the codes of its tags."""
    times: Int64s
    live: Bools | None
    """Which rows no other one supersedes; None: all."""
    tags: tuple[str, ...]
    """The tag of each column of ``keys``."""
    keys: Int32s
    values: tuple[pa.Array, ...]
    """Per tag the values that its codes stand for."""


class TableBuffer:
    """``append``, ``rest`` and the attributes are for who holds the commit lock; other methods lock themselves."""

    def __init__(
        self, table_id: int, commit_lock: AbstractContextManager[object], account: Callable[[int], None]
    ) -> None:
        """``account`` is told every change of the bytes held."""
        self.table_id = table_id
        self.appended = 0
        """Rows ever appended."""
        self.boundary = 0
        """Rows below this are being persisted: no run reaches across."""
        self.pending_rows = 0
        self._commit_lock = commit_lock
        self._account = account
        self._pending: list[Pending] = []
        self.lock = threading.RLock()
        """Guards everything else. Taken before the commit lock where both are needed."""
        self._runs: list[Run] = []
        self._keys = RowKeys()
        self._series = SeriesIndex()
        self._tags: dict[str, TagDictionary] = {}
        self._absorbed_bytes = 0
        self._schema: tuple[TableSchema, pa.Schema] | None = None

    def append(self, batch: pa.RecordBatch, size: int) -> None:
        """List a committed batch. ``size`` is about what its buffers take."""
        size += _BATCH_BYTES + _COLUMN_BYTES * batch.num_columns
        self._pending.append(Pending(batch, size))
        self.appended += batch.num_rows
        self.pending_rows += batch.num_rows
        self._account(size)

    @property
    def pending_batches(self) -> int:
        return len(self._pending)

    def arrow_schema(self, schema: TableSchema) -> pa.Schema:
        """``schema.arrow_schema()``, the same object as long as the schema is."""
        known = self._schema
        if known is None or known[0] is not schema:
            known = self._schema = (schema, schema.arrow_schema())
        return known[1]

    def snapshot(self, count: int, schema: pa.Schema) -> MemoryRows:
        """The first ``count`` rows, duplicates merged, with all columns of ``schema``."""
        if count == 0:
            return NO_ROWS
        with self.lock:
            if len(self._keys) < count:
                self.absorb()
            runs = [run for run in self._runs if run.first < count]
            batches = [run.batch(schema, self._keys.superseded(run.first, run.stop), count) for run in runs]
        time_range = min(run.min_time for run in runs), max(run.max_time for run in runs)
        return MemoryRows(tuple(batch for batch in batches if batch.num_rows), time_range)

    def rows(self, count: int) -> TableRows:
        """The first ``count`` rows for a persist; ``boundary`` must have been set to that number."""
        with self.lock:
            if len(self._keys) < count:
                self.absorb()
            superseded = self._keys.superseded(0, count)
            live = None
            if superseded is not None:
                live = superseded >= count
                live = None if live.all() else live
            return TableRows(
                self.table_id,
                tuple(run for run in self._runs if run.first < count),
                self._keys.series[:count],
                self._keys.times[:count],
                live,
                tuple(self._tags),
                self._series.keys,
                tuple(dictionary.values() for dictionary in self._tags.values()),
            )

    def rest(self, count: int) -> list[tuple[pa.RecordBatch, int]]:
        """The live rows from row number ``count`` on, with their sizes in bytes. Everything must have been absorbed."""
        return [
            (run.own_batch(self._keys.superseded(run.first, run.stop)), run.nbytes)
            for run in self._runs
            if run.first >= count
        ]

    @property
    def nbytes(self) -> int:
        """What was accounted for and is still held."""
        return self._absorbed_bytes + sum(item.bytes for item in self._pending)

    def absorb(self) -> None:
        """Take in everything that is pending."""
        with self.lock:
            with self._commit_lock:
                pending, self._pending = self._pending, []
                self.pending_rows = 0
            done = 0
            try:
                while done < len(pending):
                    # Up to what is being persisted, then from there on: no run has rows of both.
                    until_boundary = self.boundary - len(self._keys)
                    group = _next_group(pending, done, until_boundary if until_boundary > 0 else None)
                    self._absorb(group)
                    done += len(group)
            except BaseException:
                with self._commit_lock:
                    self._pending = [*pending[done:], *self._pending]
                    self.pending_rows = sum(item.batch.num_rows for item in self._pending)
                raise
            finally:
                bytes_ = self._bytes()
                taken = sum(item.bytes for item in pending[:done])
                self._account(bytes_ - self._absorbed_bytes - taken)
                self._absorbed_bytes = bytes_

    def _bytes(self) -> int:
        tags = sum(dictionary.nbytes for dictionary in self._tags.values())
        return sum(run.nbytes for run in self._runs) + self._keys.nbytes + self._series.nbytes + tags

    def _absorb(self, group: Sequence[Pending]) -> None:
        batches = joined([item.batch for item in group])
        start = len(self._keys)
        times = np.concatenate([time_values(batch.column(TIME_COLUMN)) for batch in batches])
        if not len(times):
            return
        kinds = {each.name: each.type for batch in batches for each in batch.schema}
        tag_names = [name for name, kind in kinds.items() if pa.types.is_dictionary(kind)]
        codes = self._encode(batches, tag_names, len(times))
        series = self._series.assign(codes)
        suspects = self._series.suspects(series, times)
        try:
            older = self._keys.append(series, times, suspects=suspects)
            fields = {name: kind for name, kind in kinds.items() if name not in self._tags and name != TIME_COLUMN}
            if older is not None:
                fields |= self._fields_of(older, start)
            columns = {name: join_columns(column_pieces(batches, name), kind) for name, kind in fields.items()}
            if older is not None:
                columns = fill_nulls(columns, older, start, lambda rows: self._at(rows, fields))
            for index, (name, dictionary) in enumerate(self._tags.items()):
                if name in kinds:
                    columns[name] = dictionary_column(np.ascontiguousarray(codes[index]), dictionary.values())
            columns[TIME_COLUMN] = pa.Array.from_buffers(kinds[TIME_COLUMN], len(times), [None, pa.py_buffer(times)], 0)
            self._runs.append(Run.of(start, columns, times))
        except BaseException:
            self._keys.forget_from(start)
            raise
        self._join_runs()

    def _encode(self, batches: Sequence[pa.RecordBatch], names: Sequence[str], rows: int) -> Int32s:
        """Tag codes, one row of the result a tag of the table."""
        for name in names:
            self._tags.setdefault(name, TagDictionary())
        if len(self._tags) > self._series.keys.shape[1]:
            self._series.widen(len(self._tags))
        codes = np.full((len(self._tags), rows), -1, np.int32)
        for index, (name, dictionary) in enumerate(self._tags.items()):
            if name not in names:
                continue
            at = 0
            for piece in column_pieces(batches, name):
                if isinstance(piece, int):
                    at += piece
                    continue
                dictionary.encode(piece, codes[index, at : at + len(piece)])
                at += len(piece)
        return codes

    def _fields_of(self, older: Int64s, start: int) -> dict[str, pa.DataType]:
        """The fields that superseded rows of earlier runs have."""
        rows = older[(older >= 0) & (older < start)]
        fields: dict[str, pa.DataType] = {}
        for run in self._runs:
            if np.any((rows >= run.first) & (rows < run.stop)):
                fields |= {name: column.type for name, column in run.columns.items()}
        return {name: kind for name, kind in fields.items() if name not in self._tags and name != TIME_COLUMN}

    def _at(self, rows: Int64s, fields: Mapping[str, pa.DataType]) -> Gather:
        """Gathers fields at ascending row numbers."""
        parts = []
        for run in self._runs:
            low, high = np.searchsorted(rows, (run.first, run.stop))
            if low < high:
                parts.append((run, pa.array(rows[low:high] - run.first)))
        return lambda name: pa.concat_arrays([run.take(name, fields[name], places) for run, places in parts])

    def _join_runs(self) -> None:
        """Join the last runs while the one before is not twice as long: a row moves a logarithmic number of times."""
        first = len(self._runs) - 1
        rows, size = self._runs[first].rows, self._runs[first].nbytes
        while first > 0:
            before = self._runs[first - 1]
            full = before.rows + rows > RUN_ROWS or before.nbytes + size > RUN_BYTES
            if full or before.rows >= 2 * rows or self._runs[first].first == self.boundary:
                break
            first -= 1
            rows, size = rows + before.rows, size + before.nbytes
        if first < len(self._runs) - 1:
            self._runs[first:] = [join_runs(self._runs[first:])]


def _next_group(pending: Sequence[Pending], start: int, end_rows: int | None) -> Sequence[Pending]:
    """The batches from ``start`` on that make one run; it ends after ``end_rows`` rows at the latest."""
    rows, size = 0, 0
    for index in range(start, len(pending)):
        rows += pending[index].batch.num_rows
        size += pending[index].bytes
        full = rows > RUN_ROWS or size > RUN_BYTES or (end_rows is not None and rows > end_rows)
        if full and index > start:
            return pending[start:index]
    return pending[start:]
