"""What a query pins: for every table of a database, its live files and its rows in memory, as of one instant."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
from headrace.wal.schema import TableSchema

if TYPE_CHECKING:
    from headrace.storage.catalog import DatabaseInfo


@dataclass(frozen=True, slots=True)
class DataFile:
    """A live Parquet file: sorted by (tags in schema order, nulls last; time), without duplicates inside."""

    path: str
    """Where it is, relative to ``Store.data_root``, with ``/`` between the parts."""
    size: int
    """Bytes."""
    rows: int
    min_time: int
    """Nanoseconds since the epoch, inclusive, as ``max_time``."""
    max_time: int
    sequence: int
    """The newest WAL sequence whose rows are inside: of two files with the same row, the higher one's values win."""
    columns: frozenset[str]
    """The columns the file has; the table's other columns are null in all of its rows."""
    tag_ranges: Mapping[str, tuple[str, str]] = field(default_factory=dict, hash=False)
    """The least and the greatest non-null value of a tag, by code point. Tags that are absent here are not known:
    very long values, or none at all."""


@dataclass(frozen=True, slots=True)
class MemoryRows:
    """Rows of one table that are in no file yet."""

    batches: tuple[pa.RecordBatch, ...]
    """Every column of the table in schema order; no two rows of all the batches have the same tags and time."""
    time_range: tuple[int, int] | None
    """(least, greatest) time in nanoseconds, both inclusive; None without rows."""

    @property
    def rows(self) -> int:
        return sum(batch.num_rows for batch in self.batches)


NO_ROWS = MemoryRows((), None)


class TableSnapshot:
    """One table at the instant of the snapshot. Hold it for as long as its files are read.

    A row may be in several files, or in a file and in memory, but only where their time ranges
    overlap; then per field the newest non-null value wins: memory first, files by ``sequence``.
    """

    __slots__ = ("_load", "_lock", "_pin", "_rows", "files", "min_time_ns", "schema", "table_id")

    def __init__(
        self,
        schema: TableSchema,
        files: tuple[DataFile, ...] = (),
        memory: MemoryRows | Callable[[], MemoryRows] = NO_ROWS,
        *,
        table_id: int = 0,
        min_time_ns: int | None = None,
        pin: object = None,
    ) -> None:
        self.schema = schema
        self.files = files
        self.table_id = table_id
        self.min_time_ns = min_time_ns
        """Rows before this have outlived the database's retention period and must not be seen; None: all are kept."""
        self._pin = pin
        self._rows = memory if isinstance(memory, MemoryRows) else None
        self._load = None if isinstance(memory, MemoryRows) else memory
        self._lock = threading.Lock()

    def _memory(self) -> MemoryRows:
        with self._lock:
            if self._rows is None:
                assert self._load is not None
                self._rows = self._load()
                self._load = None
            return self._rows

    @property
    def memory(self) -> tuple[pa.RecordBatch, ...]:
        """See ``MemoryRows.batches``. The first access merges what was written since the last snapshot."""
        return self._memory().batches

    @property
    def memory_range(self) -> tuple[int, int] | None:
        """See ``MemoryRows.time_range``."""
        return self._memory().time_range


class DatabaseSnapshot(Mapping[str, TableSnapshot]):
    """All tables of one database at one instant, by name; each is made when it is first asked for."""

    def __init__(self, database: DatabaseInfo, names: tuple[str, ...], make: Callable[[str], TableSnapshot]) -> None:
        self.database = database
        self._names = dict.fromkeys(names)
        self._make = make
        self._made: dict[str, TableSnapshot] = {}
        self._lock = threading.Lock()

    @property
    def tables(self) -> Mapping[str, TableSnapshot]:
        return self

    def __getitem__(self, name: str) -> TableSnapshot:
        if name not in self._names:
            raise KeyError(name)
        with self._lock:
            if name not in self._made:
                self._made[name] = self._make(name)
            return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
