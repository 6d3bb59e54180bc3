"""A table of a snapshot as an engine plan: chosen files and the rows in memory, duplicates merged.

Tags and strings are read as string views, the engine's fastest form for grouping and comparing.
Columns are in the order of their names, as InfluxDB 3 shows them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Final

import pyarrow as pa
from datafusion import DataFrame, Expr, SessionContext, col, lit
from datafusion import functions as f
from headrace.query.bounds import Bounds
from headrace.query.engine_tables import empty_batch, memory_table
from headrace.query.errors import DataFileUnreadable
from headrace.query.file_cache import FileCache
from headrace.query.memory_ranges import MemoryRanges
from headrace.query.overlap import Overlap, Range, find_overlap
from headrace.query.parquet_listing import read_files
from headrace.storage.snapshot import DataFile, TableSnapshot
from headrace.wal.schema import TIME_COLUMN, TIME_TYPE, ColumnType

log = logging.getLogger(__name__)

_LAYERS_AT_ONCE: Final = 8
_VIEWED: Final = (ColumnType.TAG, ColumnType.STRING)


def quoted(name: str) -> Expr:
    """The column of exactly that name: ``col`` alone would fold case and split at dots."""
    return col('"' + name.replace('"', '""') + '"')


@dataclass(frozen=True, slots=True)
class TableScan:
    """A table's rows as a plan, and the files it reads."""

    frame: DataFrame
    files: tuple[DataFile, ...]


def scan_table(
    context: SessionContext,
    data_root: Path,
    table: TableSnapshot,
    bounds: Bounds,
    *,
    partitions: int,
    memory_ranges: MemoryRanges,
    cache: FileCache,
) -> TableScan:
    """All rows of the table within the bounds; others may be among them, since the bounds only choose sources.

    Raises DataFileUnreadable if a chosen file is missing or has another size than the manifest says.
    """
    bounds = bounds.only_tags(table.schema.tags)
    if table.min_time_ns is not None:
        bounds = bounds.also(Bounds(min_time=table.min_time_ns))
    files = sorted((file for file in table.files if bounds.meets_file(file)), key=lambda file: file.sequence)
    _check(data_root, files)
    ranges: list[list[Range]] = [[(file.min_time, file.max_time)] for file in files]
    if table.memory_range is not None and bounds.meets(*table.memory_range):
        ranges.append(memory_ranges.of(table.memory))
    try:
        cached = cache.batches(files, table.schema)
    except (OSError, pa.ArrowException) as error:
        log.exception("a data file cannot be read")
        raise DataFileUnreadable("a data file of the table cannot be read; the server's log says more") from error
    builder = _Builder(context, table, tuple(files), cached, ranges, partitions)
    return TableScan(builder.frame(), tuple(files))


def _check(data_root: Path, files: Iterable[DataFile]) -> None:
    for file in files:
        try:
            size = os.stat(data_root / file.path).st_size
        except OSError as error:
            raise DataFileUnreadable(f"the data file {file.path} cannot be read: {error.strerror}") from None
        if size != file.size:
            raise DataFileUnreadable(
                f"the data file {file.path} is damaged: it has {size} bytes, {file.size} were written"
            )


class _Builder:
    """Puts one table's plan together. Sources are its files, oldest first, and then its memory."""

    def __init__(
        self,
        context: SessionContext,
        table: TableSnapshot,
        files: tuple[DataFile, ...],
        cached: Mapping[str, pa.RecordBatch],
        ranges: Sequence[Sequence[Range]],
        partitions: int,
    ) -> None:
        self._context = context
        self._table = table
        self._files = files
        self._cached = cached
        self._partitions = partitions
        self._columns = sorted(table.schema.columns.items())
        self._schema = pa.schema(
            [(name, pa.string_view() if kind in _VIEWED else kind.arrow) for name, kind in self._columns]
        )
        self._ranges = ranges

    def frame(self) -> DataFrame:
        overlap = find_overlap(self._ranges)
        parts = list(self._parts(overlap))
        if not parts:
            return self._memory([empty_batch(self._table.schema.arrow_schema())])
        frame = reduce(DataFrame.union, parts)
        floor = self._table.min_time_ns
        if floor is not None and any(ranges[0][0] < floor for ranges in self._ranges):
            frame = frame.filter(quoted(TIME_COLUMN) >= _time(floor))
        return frame

    def _parts(self, overlap: Overlap) -> Iterator[DataFrame]:
        yield from self._read(overlap.straight)
        if overlap.windows:
            inside = _within(overlap.windows)
            for frame in self._read(overlap.outside):
                yield frame.filter(~inside)
            yield self._merged([reduce(DataFrame.union, self._read(layer)).filter(inside) for layer in overlap.layers])

    def _read(self, sources: Sequence[int]) -> Iterator[DataFrame]:
        """The rows of sources as at most two frames: from disk, and from memory."""
        paths = [self._files[source].path for source in sources if source < len(self._files)]
        batches = [self._cached[path] for path in paths if path in self._cached]
        if len(paths) < len(sources):
            batches.extend(self._table.memory)
        if on_disk := [path for path in paths if path not in self._cached]:
            yield read_files(self._context, on_disk, self._schema)
        if batches:
            yield self._memory(batches)

    def _memory(self, batches: Sequence[pa.RecordBatch]) -> DataFrame:
        partitions = [batches[start :: self._partitions] for start in range(self._partitions)]
        frame = self._context.read_table(memory_table(self._context, partitions))
        return frame.select(
            *(
                quoted(name).cast(pa.string_view()).alias(name) if kind in _VIEWED else quoted(name)
                for name, kind in self._columns
            )
        )

    def _merged(self, layers: Sequence[DataFrame]) -> DataFrame:
        """Rows with the same tags and time as one; per field, the newest layer's value that is not null.

        A key occurs at most once in a layer, so ``max`` over one layer's rows of a key is that layer's value:
        the engine computes maxima several times faster than ordered last values, and can spill them.
        Filters on tags and time pass through the grouping down to the files; filters on fields do not.
        """
        if len(layers) > _LAYERS_AT_ONCE:
            chunks = [layers[start : start + _LAYERS_AT_ONCE] for start in range(0, len(layers), _LAYERS_AT_ONCE)]
            return self._merged([self._merged(chunk) for chunk in chunks])
        layer = _unused("layer", self._schema.names)
        rows = reduce(DataFrame.union, (frame.with_column(layer, lit(at)) for at, frame in enumerate(layers)))
        keys = [quoted(name) for name in (*self._table.schema.tags, TIME_COLUMN)]
        fields = self._table.schema.fields
        newest_first = range(len(layers) - 1, -1, -1)
        values = {
            (name, at): f.max(quoted(name), filter=quoted(layer) == lit(at)).alias(f"{at}:{name}")
            for name in fields
            for at in newest_first
        }
        grouped = rows.aggregate(keys, list(values.values()))
        return grouped.select(
            *(
                f.coalesce(*(quoted(f"{at}:{name}") for at in newest_first)).alias(name)
                if kind.is_field
                else quoted(name)
                for name, kind in self._columns
            )
        )


def _within(windows: Sequence[Range]) -> Expr:
    time = quoted(TIME_COLUMN)
    return reduce(
        lambda one, other: one | other, ((time >= _time(first)) & (time <= _time(last)) for first, last in windows)
    )


def _time(nanoseconds: int) -> Expr:
    return lit(pa.scalar(nanoseconds, TIME_TYPE))


def _unused(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name
