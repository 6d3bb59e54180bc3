"""Rows as Parquet files: what is written how, and the statistics a query prunes by.

Files are plain Parquet that any reader takes: ``time`` is a required timestamp in nanoseconds, tags
are dictionary-encoded strings, fields keep their type. Rows are sorted by tags (in schema order,
nulls last), then time. Every row group and page has statistics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from headrace.storage.runs import nulls
from headrace.storage.sort import value_ranks
from headrace.storage.table_buffer import TableRows
from headrace.wal.schema import TIME_COLUMN, ColumnType, TableSchema

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

ROW_GROUP_ROWS: Final = 1 << 18
# Columns are gathered for this many rows at a time: the memory a file takes beyond its own bytes.
_SLICE_ROWS: Final = 1 << 20
# A float column gets a dictionary if each value of a sample occurs this often on average.
_SAMPLE_ROWS: Final = 4096
_RECURRENCE: Final = 4
_MAX_RANGE_BYTES: Final = 256

_ENCODINGS: Final[Mapping[ColumnType, str]] = {
    ColumnType.TIME: "DELTA_BINARY_PACKED",
    ColumnType.INTEGER: "DELTA_BINARY_PACKED",
    ColumnType.UINTEGER: "DELTA_BINARY_PACKED",
    ColumnType.FLOAT: "BYTE_STREAM_SPLIT",
}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A finished file and what is to be known about it."""

    data: pa.Buffer
    rows: int
    min_time: int
    max_time: int
    columns: frozenset[str]
    tag_ranges: Mapping[str, tuple[str, str]]


class TableEncoder:
    """Writes rows of one table to files. Works off the columns a file at a time."""

    def __init__(self, rows: TableRows, schema: TableSchema) -> None:
        self._rows = rows
        present = {name for run in rows.runs for name in run.columns}
        self._kinds = {name: kind for name, kind in schema.columns.items() if name in present}
        self._schema = pa.schema(
            [pa.field(name, kind.arrow, nullable=kind is not ColumnType.TIME) for name, kind in self._kinds.items()]
        )
        self._fields = {
            name: pa.chunked_array(
                [run.columns.get(name, nulls(kind.arrow, run.rows)) for run in rows.runs], kind.arrow
            )
            for name, kind in self._kinds.items()
            if kind.is_field
        }
        self._tags = {
            name: _SortedTag(rows.keys[:, index], rows.values[index])
            for index, name in enumerate(rows.tags)
            if name in self._kinds
        }

    def encode(self, order: Int64s) -> Encoded:
        """A file with these rows, given by number in the order they are to have."""
        sink = pa.BufferOutputStream()
        low, high = _time_range(self._rows.times, order)
        tags = {name: tag.compact(self._rows.series, order) for name, tag in self._tags.items()}
        with pq.ParquetWriter(sink, self._schema, **self._options(order)) as writer:
            for start in range(0, len(order), _SLICE_ROWS):
                rows = order[start : start + _SLICE_ROWS]
                writer.write_table(self._table(rows, tags), row_group_size=ROW_GROUP_ROWS)
        ranges = {}
        for name, (_, values) in tags.items():
            if len(values):
                least, greatest = values[0].as_py(), values[-1].as_py()
                if len(least) + len(greatest) <= _MAX_RANGE_BYTES:
                    ranges[name] = (least, greatest)
        return Encoded(sink.getvalue(), len(order), low, high, frozenset(self._kinds), ranges)

    def _table(self, rows: Int64s, tags: Mapping[str, tuple[Int32s, pa.Array]]) -> pa.Table:
        taken = pa.array(rows)
        series = self._rows.series[rows]
        arrays: list[pa.Array | pa.ChunkedArray] = []
        for name, kind in self._kinds.items():
            if kind is ColumnType.TAG:
                places, values = tags[name]
                codes = places[series]
                indices = pa.array(codes, mask=codes < 0)
                arrays.append(pa.DictionaryArray.from_arrays(indices, values))
            elif kind is ColumnType.TIME:
                arrays.append(pa.array(self._rows.times[rows]).cast(kind.arrow))
            else:
                arrays.append(self._fields[name].take(taken))
        return pa.table(arrays, schema=self._schema)

    def _options(self, order: Int64s) -> dict[str, object]:
        dictionaries = [name for name, kind in self._kinds.items() if kind in (ColumnType.TAG, ColumnType.STRING)]
        dictionaries += self._repetitive_floats(order)
        encodings = {name: _ENCODINGS[kind] for name, kind in self._kinds.items() if kind in _ENCODINGS}
        columns = list(self._kinds)
        sorting = [name for name, kind in self._kinds.items() if kind is ColumnType.TAG] + [TIME_COLUMN]
        return {
            "version": "2.6",
            "compression": "zstd",
            "compression_level": 1,
            "use_dictionary": dictionaries,
            "column_encoding": {name: each for name, each in encodings.items() if name not in dictionaries},
            "write_statistics": True,
            "write_page_index": True,
            "sorting_columns": [pq.SortingColumn(columns.index(name)) for name in sorting],
        }

    def _repetitive_floats(self, order: Int64s) -> list[str]:
        """Floats that are better off with a dictionary, going by a sample: sensors round, so that values recur.

        Measured, bytes a value with zstd: rounded to 0.01 1.7 with a dictionary and 4.6 split into byte streams;
        of full precision 8.0 and 6.3.
        """
        sample = pa.array(order[:: max(1, len(order) // _SAMPLE_ROWS)])
        return [
            name
            for name, kind in self._kinds.items()
            if kind is ColumnType.FLOAT
            and pc.count_distinct(self._fields[name].take(sample)).as_py() <= len(sample) // _RECURRENCE
        ]


class _SortedTag:
    """A tag's values in order, and the place among them that each series has (-1: null)."""

    def __init__(self, codes: Int32s, values: pa.Array) -> None:
        ranks = value_ranks(values)
        self._values = values.take(pa.array(np.argsort(ranks)))
        self._places = np.append(ranks, np.int32(-1))[codes]

    def compact(self, series: Int32s, order: Int64s) -> tuple[Int32s, pa.Array]:
        """The same with only the values that these rows have."""
        used_series = np.zeros(len(self._places), np.bool_)
        used_series[series[order]] = True
        used = np.zeros(len(self._values) + 1, np.bool_)
        used[self._places[used_series]] = True
        used[-1] = False
        kept = np.flatnonzero(used)
        renumbered = np.full(len(used), -1, np.int32)
        renumbered[kept] = np.arange(len(kept), dtype=np.int32)
        return renumbered[self._places], self._values.take(pa.array(kept))


def _time_range(times: Int64s, order: Int64s) -> tuple[int, int]:
    own = times[order]
    return int(own.min()), int(own.max())
