"""Which files are worth putting together, so that history does not multiply files.

Every persist makes a file or more for each table. Files that lie in the same hour are put together
into one, later those in the same day, the same 4 weeks, and so on, as long as the result is small
enough to be made in bounded memory; a row is rewritten once a width at most. Files that are large
already stay as they are: their number grows with the rows, not with the persists.

Choosing is a function of the files alone. What is chosen is closed: a file outside that overlaps in
time is newer than all of the chosen ones or older than all. The result has the newest's sequence, so
that without this an old value in it would win over a newer one outside.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from headrace.storage.snapshot import DataFile
from headrace.storage.table_buffer import TableBuffer, TableRows
from headrace.wal.schema import TAG_TYPE, ColumnType, TableSchema

HOUR_NS: Final = 3600 * 10**9
DAY_NS: Final = 24 * HOUR_NS
WIDTHS: Final = (HOUR_NS, DAY_NS, 28 * DAY_NS, 364 * DAY_NS, None)
"""From narrow to wide; None: all time."""

MIN_FILES: Final = 4
"""Fewer are not worth it."""
MAX_FILES: Final = 64
"""More are left for the next time."""
MAX_BYTES: Final = 256 << 20
"""What the rows of one job may take in memory, strings not counted."""
MAX_FILE_BYTES: Final = 64 << 20
"""What the files of one job may take on disk: strings count here."""
_READ_ROWS: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class Job:
    """Files of one table to put together, oldest first; ``width_ns`` is the stretch of time they share."""

    files: tuple[DataFile, ...]
    width_ns: int | None

    @property
    def sequence(self) -> int:
        return self.files[-1].sequence

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)


def choose(files: Sequence[DataFile], max_rows: int) -> Job | None:
    """The most useful job among a table's files, at most ``max_rows`` large; None if there is none."""
    for width in WIDTHS:
        for candidates in _by_stretch(files, width):
            job = _job(candidates, files, width, max_rows)
            if job is not None:
                return job
    return None


def max_rows(schema: TableSchema) -> int:
    """How many rows of this table take ``MAX_BYTES``."""
    return MAX_BYTES // (24 + 8 * len(schema.columns))


def _by_stretch(files: Sequence[DataFile], width: int | None) -> Iterator[list[DataFile]]:
    """The files that lie within the same stretch of time, where there are enough of them."""
    stretches: dict[int, list[DataFile]] = {}
    for file in files:
        first = 0 if width is None else file.min_time // width
        last = 0 if width is None else file.max_time // width
        if first == last:
            stretches.setdefault(first, []).append(file)
    for stretch in sorted(stretches):
        if len(stretches[stretch]) >= MIN_FILES:
            yield stretches[stretch]


def _job(candidates: Sequence[DataFile], files: Sequence[DataFile], width: int | None, max_rows: int) -> Job | None:
    """The first run, in order of writing, that is small enough, closed, and worth it; as long as it can be."""
    ordered = sorted(candidates, key=lambda file: (file.sequence, file.min_time))
    for start in range(len(ordered) - MIN_FILES + 1):
        chosen: list[DataFile] = []
        rows, size = 0, 0
        for file in ordered[start : start + MAX_FILES]:
            rows, size = rows + file.rows, size + file.size
            if rows > max_rows or size > MAX_FILE_BYTES:
                break
            chosen.append(file)
        while _is_worth_it(chosen):
            if _is_closed(chosen, files):
                return Job(tuple(chosen), width)
            chosen.pop()
    return None


def _is_worth_it(chosen: Sequence[DataFile]) -> bool:
    """Enough files, and not one large one with crumbs: that would be rewritten again and again."""
    if len(chosen) < MIN_FILES:
        return False
    rows = [file.rows for file in chosen]
    return sum(rows) >= 1.5 * max(rows) or len(chosen) >= MAX_FILES // 4


def _is_closed(chosen: Sequence[DataFile], files: Sequence[DataFile]) -> bool:
    inside = {file.path for file in chosen}
    oldest, newest = chosen[0].sequence, chosen[-1].sequence
    low, high = min(file.min_time for file in chosen), max(file.max_time for file in chosen)
    return not any(
        file.path not in inside and file.min_time <= high and file.max_time >= low and oldest <= file.sequence <= newest
        for file in files
    )


def merged_rows(root: Path, job: Job, table_id: int, schema: TableSchema) -> TableRows:
    """The rows of the job's files, duplicates merged. Raises OSError."""
    rows = TableBuffer(table_id, threading.RLock(), lambda _: None)
    for file in job.files:
        with pq.ParquetFile(root / file.path) as parquet:
            for batch in parquet.iter_batches(_READ_ROWS):
                typed = _typed(batch, schema)
                rows.append(typed, typed.nbytes)
                rows.absorb()
    return rows.rows(rows.appended)


def _typed(batch: pa.RecordBatch, schema: TableSchema) -> pa.RecordBatch:
    """The batch with the types rows have in memory, whatever the reader made of the file's."""
    kinds = {
        name: TAG_TYPE if schema.columns[name] is ColumnType.TAG else schema.columns[name].arrow
        for name in batch.schema.names
        if name in schema.columns
    }
    columns = [
        column if column.type == kind else (column.dictionary_encode() if kind == TAG_TYPE else column.cast(kind))
        for column, kind in ((batch.column(name), kind) for name, kind in kinds.items())
    ]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(list(kinds.items())))
