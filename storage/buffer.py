"""All that is committed and not yet in files, and the files: what a snapshot is taken of.

The write-ahead log's writer thread applies frames here. One short lock covers that, taking snapshots,
and the step in which rows move from memory to files, so that a snapshot sees each frame as a whole
and each row exactly once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from headrace.storage.free_memory import free_memory
from headrace.storage.memory_budget import MemoryBudget
from headrace.storage.retention import Generation
from headrace.storage.snapshot import DataFile
from headrace.storage.table_buffer import TableBuffer
from headrace.wal.entry import HERE, CatalogChange, CursorMove, Frame, Rows

# Past either of these the background thread absorbs, so that a query has little left to do.
_ABSORB_ROWS: Final = 1 << 17
_ABSORB_BATCHES: Final = 512
# Joining batches leaves holes in the heap. Given back each time memory has grown by this, peaks are 300 MB lower.
_TRIM_BYTES: Final = 128 << 20


@dataclass(frozen=True, slots=True)
class TablePin:
    """The rows of a table at one instant: the first ``count`` of the buffer's, and the files."""

    buffer: TableBuffer | None
    count: int
    files: tuple[DataFile, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """Everything committed up to ``sequence``, for a persist."""

    sequence: int
    wal_bytes: int
    cursors: Mapping[int, int]
    records: Sequence[Mapping[str, Any]]
    """Catalog changes since the last persist."""
    tables: Mapping[int, tuple[TableBuffer, int]]


class Buffer:
    """See the module. All methods may be called from any thread."""

    def __init__(self, budget: MemoryBudget, *, sequence: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = budget
        self._clock = clock
        self._lock = threading.RLock()
        self._tables: dict[int, TableBuffer] = {}
        self._files: Mapping[int, tuple[DataFile, ...]] = {}
        self._records: list[tuple[int, Mapping[str, Any]]] = []
        self._cursors: dict[int, int] = {}
        self._sequence = sequence
        self._wal_bytes = 0
        self._oldest: float | None = None
        self._generation = Generation()
        self._busy: set[TableBuffer] = set()
        self._wanted = threading.Event()
        self._trimmed_at = 0

    def load(self, files: Mapping[int, tuple[DataFile, ...]], cursors: Mapping[int, int]) -> None:
        """Begin with what the manifest says."""
        with self._lock:
            self._files = files
            self._cursors = dict(cursors)

    def apply(self, frames: Iterable[Frame]) -> None:
        """Make committed frames visible, all of them in one step."""
        with self._lock:
            for frame in frames:
                self._apply(frame)

    def _apply(self, frame: Frame) -> None:
        rows = sum(entry.batch.num_rows for entry in frame.entries if isinstance(entry, Rows))
        for entry in frame.entries:
            if isinstance(entry, Rows):
                if not entry.batch.num_rows:
                    continue
                table = self._tables.get(entry.table_id)
                if table is None:
                    table = self._tables[entry.table_id] = self._new_table(entry.table_id)
                table.append(entry.batch, frame.size * entry.batch.num_rows // rows)
                if table.pending_rows >= _ABSORB_ROWS or table.pending_batches >= _ABSORB_BATCHES:
                    self._busy.add(table)
                    self._wanted.set()
            elif isinstance(entry, CursorMove):
                self._cursors[entry.trigger_id] = frame.sequence if entry.sequence == HERE else entry.sequence
            elif isinstance(entry, CatalogChange):
                self._records.append((frame.sequence, entry.record))
        self._sequence = frame.sequence
        self._wal_bytes += frame.size
        if self._oldest is None:
            self._oldest = self._clock()

    def _new_table(self, table_id: int) -> TableBuffer:
        return TableBuffer(table_id, self._lock, self._budget.add)

    @property
    def sequence(self) -> int:
        """The newest sequence that is visible."""
        return self._sequence

    @property
    def wal_bytes(self) -> int:
        """Bytes of the frames that are not persisted."""
        return self._wal_bytes

    @property
    def bytes(self) -> int:
        """What the rows take in memory, about."""
        return self._budget.used

    @property
    def age(self) -> float:
        """Seconds since the oldest frame that is not persisted was applied; 0 if there is none."""
        oldest = self._oldest
        return 0.0 if oldest is None else self._clock() - oldest

    def cursor(self, trigger_id: int) -> int | None:
        with self._lock:
            return self._cursors.get(trigger_id)

    def cursors(self) -> dict[int, int]:
        with self._lock:
            return dict(self._cursors)

    def files(self) -> Mapping[int, tuple[DataFile, ...]]:
        """The live files by table id. The mapping never changes; a later one replaces it."""
        return self._files

    def pin(self, table_ids: Iterable[int]) -> tuple[dict[int, TablePin], Generation]:
        """These tables at one instant, and what keeps their files from being deleted."""
        pins = {}
        with self._lock:
            for table_id in table_ids:
                table = self._tables.get(table_id)
                files = self._files.get(table_id, ())
                pins[table_id] = TablePin(table, 0 if table is None else table.appended, files)
            return pins, self._generation

    def cut(self) -> Cut:
        """Draw the line for a persist. Nothing changes for readers; a persist that fails just cuts again."""
        with self._lock:
            tables = {}
            for table_id, table in self._tables.items():
                table.boundary = table.appended
                tables[table_id] = (table, table.appended)
            records = [record for _, record in self._records]
            return Cut(self._sequence, self._wal_bytes, dict(self._cursors), records, tables)

    def swap(self, cut: Cut, files: Mapping[int, tuple[DataFile, ...]]) -> None:
        """In one step the rows of ``cut`` leave memory and ``files`` become the live ones."""
        with ExitStack() as locks:
            # Table locks come before the commit lock. What came in meanwhile is absorbed before it is held.
            for table, _ in cut.tables.values():
                locks.enter_context(table.lock)
                table.absorb()
            with self._lock:
                for table_id, (table, count) in cut.tables.items():
                    # A snapshot taken before may still want this buffer: it stays as it is, a new one takes the rest.
                    table.absorb()
                    self._replace(table_id, table, count)
                self._files = files
                self._records = [(sequence, record) for sequence, record in self._records if sequence > cut.sequence]
                self._wal_bytes -= cut.wal_bytes
                self._oldest = self._clock() if self._sequence > cut.sequence else None

    def _replace(self, table_id: int, table: TableBuffer, count: int) -> None:
        self._busy.discard(table)
        rest = table.rest(count)
        self._budget.add(-table.nbytes)
        if not rest:
            del self._tables[table_id]
            return
        fresh = self._tables[table_id] = self._new_table(table_id)
        for batch, size in rest:
            fresh.append(batch, size)
        self._busy.add(fresh)
        self._wanted.set()

    def replace_files(self, files: Mapping[int, tuple[DataFile, ...]]) -> Generation:
        """Other files hold the same rows now, or rows were dropped. Gives the last generation with the old ones."""
        with self._lock:
            self._files = files
            before, self._generation = self._generation, Generation()
            return before

    def absorb_some(self, timeout: float) -> None:
        """Wait for tables with much pending, for at most ``timeout`` seconds, and absorb it: the background's work."""
        if not self._wanted.wait(timeout):
            return
        with self._lock:
            self._wanted.clear()
            busy, self._busy = self._busy, set()
        for table in busy:
            table.absorb()
        if self._budget.used - self._trimmed_at >= _TRIM_BYTES:
            self._trimmed_at = self._budget.used
            free_memory()
        self._trimmed_at = min(self._trimmed_at, self._budget.used)

    def wake(self) -> None:
        """Let ``absorb_some`` return."""
        self._wanted.set()
