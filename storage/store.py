"""The store: catalog, log, rows in memory, files and manifest as one thing, and the threads that tend it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from headrace.storage import admin
from headrace.storage.buffer import Buffer, TablePin
from headrace.storage.catalog import Catalog
from headrace.storage.catalog_info import TableInfo
from headrace.storage.catalog_records import decode_record
from headrace.storage.disk_space import DiskSpace
from headrace.storage.errors import ManifestConflict
from headrace.storage.ingest import Ingest, LinesPart, PendingWrite
from headrace.storage.keeper import FileKeeper
from headrace.storage.manifest import Manifest
from headrace.storage.memory_budget import MemoryBudget
from headrace.storage.objects import Objects
from headrace.storage.retention import (
    Generation,
    Hold,
    retention_cutoff,
    trim_wal,
    unexpired,
    wal_holds,
)
from headrace.storage.snapshot import NO_ROWS, DatabaseSnapshot, DataFile, TableSnapshot
from headrace.storage.store_directory import StoreDirectory
from headrace.storage.store_settings import StoreSettings
from headrace.storage.warm_up import warm_up
from headrace.wal.entry import CatalogChange, Frame
from headrace.wal.precision import Precision
from headrace.wal.replay import replay
from headrace.wal.writer import Wal

logger = logging.getLogger(__name__)

_TICK: Final = 0.5
"""Seconds between looks at whether a persist is due."""


class Store:
    """An open database; see ``open``. All methods may be called from any thread."""

    def __init__(self, settings: StoreSettings, clock: Callable[[], int], directory: StoreDirectory) -> None:
        self.settings = settings
        self.data_root = directory.root
        """The local directory that the paths of data files are relative to."""
        self._clock = clock
        self._directory = directory
        objects = Objects(directory.root)
        manifest = Manifest.load(objects, f"{directory.prefix}/manifest")
        state = manifest.state
        self.catalog = Catalog(settings.limits)
        if state.catalog is not None:
            self.catalog = Catalog.from_state(state.catalog, settings.limits)
        self.catalog.apply_all([decode_record(record) for record in state.records])
        self._budget = MemoryBudget(settings.buffer_limit_bytes)
        self._disk = DiskSpace(directory.node, settings.disk_reserve_bytes)
        self._buffer = Buffer(self._budget, sequence=state.persisted_sequence)
        self._buffer.load(state.files, state.cursors)
        self._pins: dict[int, int] = {}
        self._listeners: tuple[Callable[[int], None], ...] = ()
        self._keeper = FileKeeper(settings, objects, directory.prefix, manifest, self._buffer, self.catalog, clock)
        self._failure: str | None = None
        self._closing = threading.Event()
        self._nudge = threading.Event()
        self.wal = Wal.open(
            directory.wal, settings.wal, on_commit=self._on_commit, first_sequence=state.persisted_sequence + 1
        )
        try:
            self._replay(state.persisted_sequence)
            self._keeper.remove_orphans(directory.prefix)
        except BaseException:
            self.wal.close()
            raise
        self.ingest = Ingest(self.catalog, self.wal, clock, admit=self._admit)
        self._expired_at = self._compacted_at = time.monotonic()
        self._threads = self._start()

    @classmethod
    def open(cls, settings: StoreSettings, *, clock: Callable[[], int] = time.time_ns) -> Store:
        """Bring back the state that the manifest and the log above it hold, and start tending it.

        ``clock`` gives nanoseconds since the epoch. Raises StoreLocked, WalLocked if another process has the
        directory; ManifestDamaged, WalDamaged, CatalogDamaged; ManifestVersion, WalVersion, CatalogVersion if a
        newer release wrote it; OSError, WalFailed if the disk refuses.
        """
        warm_up()
        directory = StoreDirectory(settings)
        try:
            return cls(settings, clock, directory)
        except BaseException:
            directory.close()
            raise

    def _replay(self, persisted: int) -> None:
        records = []
        for frame in replay(self._directory.wal, persisted, salvage=self.settings.wal.salvage):
            self._buffer.apply((frame,))
            records += [decode_record(entry.record) for entry in frame.entries if isinstance(entry, CatalogChange)]
        self.catalog.apply_all(records)

    def close(self) -> None:
        """Persist everything, stop the threads, release the directory. What cannot be persisted stays in the log."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._nudge.set()
        self._buffer.wake()
        for thread in self._threads:
            thread.join()
        try:
            self.persist()
        except Exception as error:
            _log_failure("rows stay in the write-ahead log, to be replayed at the next start", error)
        self.wal.close()
        self._directory.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # Writing

    @property
    def submit(self) -> Callable[..., PendingWrite]:
        """``Ingest.submit``."""
        return self.ingest.submit

    def write(
        self, database: str, body: bytes, *, precision: Precision = Precision.AUTO, **options: Any
    ) -> PendingWrite:
        """Store line protocol and wait until it is durable; ``options`` as for ``Ingest.submit``."""
        pending = self.ingest.submit([LinesPart(database, body, precision)], **options)
        pending.future.result()
        return pending

    def _admit(self, size: int, timeout: float | None = None) -> None:
        """Let a write wait while memory is full: not longer than it wants, and not at all if that cannot help.

        Raises BufferFull, DiskFull.
        """
        self._disk.admit(size)
        longest = self.settings.buffer_wait if self._failure is None else 0.0
        self._budget.wait_for_room(longest if timeout is None else min(timeout, longest), self._failure)

    def _on_commit(self, frames: Sequence[Frame]) -> None:
        self._buffer.apply(frames)
        if self._is_full():
            self._nudge.set()
        for listener in self._listeners:
            try:
                listener(frames[-1].sequence)
            except Exception:
                # On the log's thread: what is raised here would stop all writes.
                logger.exception("a listener to commits failed")

    # Reading

    def snapshot(self, database: str) -> DatabaseSnapshot:
        """All tables of a database at this instant: every write acknowledged before the call is in it.

        Raises DatabaseNotFound.
        """
        info = self.catalog.database(database)
        tables = {name: table for name, table in info.tables.items() if not table.deleted}
        pins, generation = self._buffer.pin(table.id for table in tables.values())
        cutoff = retention_cutoff(info, self._clock())

        def make(name: str) -> TableSnapshot:
            return self._table_snapshot(tables[name], pins[tables[name].id], cutoff, generation)

        return DatabaseSnapshot(info, tuple(tables), make)

    def _table_snapshot(
        self, table: TableInfo, pin: TablePin, cutoff: int | None, generation: Generation
    ) -> TableSnapshot:
        # Columns may be in committed rows before they are visible by name: by id they always are.
        current = self.catalog.table_by_id(table.id)
        schema = table.schema if current is None else current.schema
        buffer = pin.buffer
        return TableSnapshot(
            schema,
            unexpired(pin.files, cutoff),
            NO_ROWS if buffer is None else lambda: buffer.snapshot(pin.count, buffer.arrow_schema(schema)),
            table_id=table.id,
            min_time_ns=cutoff,
            pin=generation,
        )

    def read(self, after: int, *, limit_bytes: int, table_ids: Collection[int] | None = None) -> list[Frame]:
        """Committed frames above ``after``, as ``Wal.read``."""
        return self.wal.read(after, limit_bytes=limit_bytes, table_ids=table_ids)

    def add_flush_listener(self, listener: Callable[[int], None]) -> None:
        """``listener`` gets the newest visible sequence after each commit, on the log's thread: it must be quick."""
        self._listeners = (*self._listeners, listener)

    def files(self) -> Mapping[int, tuple[DataFile, ...]]:
        """The live files of all tables, by table id."""
        return self._buffer.files()

    # Cursors

    def cursor(self, trigger_id: int) -> int | None:
        """How far a trigger has got: its last committed cursor move or its pin, whichever is further."""
        found = [at for at in (self._buffer.cursor(trigger_id), self._pins.get(trigger_id)) if at is not None]
        return max(found, default=None)

    def pin(self, trigger_id: int, sequence: int) -> None:
        """The trigger has seen that nothing up to ``sequence`` concerns it; not durable until the next persist."""
        self._pins[trigger_id] = sequence

    def wal_holds(self) -> list[Hold]:
        """What enabled triggers on the log hold, the one furthest behind first."""
        return wal_holds(self.catalog.view, self.cursor)

    # Persisting

    @property
    def persist_failure(self) -> str | None:
        """Why the last attempt to persist failed; None after a success."""
        return self._failure

    @property
    def buffer_bytes(self) -> int:
        """What rows in memory take, about."""
        return self._buffer.bytes

    @property
    def persisted_sequence(self) -> int:
        """Everything up to this is in files."""
        return self._keeper.persisted_sequence

    def persist(self) -> None:
        """Move everything committed so far from memory to files, and trim the log.

        Raises OSError if the disk refuses: nothing is lost, try again. Raises ManifestConflict.
        """
        try:
            sequence = self._keeper.persist(self._pins)
        except Exception as error:
            self._failure = str(error)
            raise
        self._failure = None
        if sequence is not None:
            trim_wal(self.wal, self._directory.wal, sequence, self.wal_holds(), self.settings.wal_retention_bytes)
            self._disk.look()

    def compact(self) -> int:
        """Put small files together until nothing is left to do; gives the number of times that was done."""
        return self._keeper.compact(lambda: False)

    # The threads

    def _is_full(self) -> bool:
        settings, buffer = self.settings, self._buffer
        full = buffer.wal_bytes >= settings.persist_wal_bytes or buffer.bytes >= settings.persist_buffer_bytes
        return full and buffer.sequence > self.persisted_sequence

    def _is_old(self) -> bool:
        return self._buffer.age >= self.settings.persist_age

    def _is_in_the_way(self) -> bool:
        """Whether the disk is short of room that the log of unpersisted rows may take."""
        return self._buffer.bytes > 0 and self._buffer.sequence > self.persisted_sequence and self._disk.is_short()

    def _start(self) -> list[threading.Thread]:
        work = {
            "persist": self._persist_if_due,
            "absorb": lambda: self._buffer.absorb_some(_TICK),
            "tidy": self._tidy,
        }
        threads = [
            threading.Thread(target=self._repeat, args=(each, step), name=f"headrace-{each}", daemon=True)
            for each, step in work.items()
        ]
        for thread in threads:
            thread.start()
        return threads

    def _repeat(self, name: str, step: Callable[[], None]) -> None:
        """A thread's life: ``step`` again and again, failures logged, until the store closes."""
        while not self._closing.is_set():
            try:
                step()
            except ManifestConflict as error:
                logger.critical("%s stops: %s", name, error)
                return
            except Exception as error:
                _log_failure(f"{name} failed and will be tried again", error)
                self._closing.wait(self.settings.retry_pause)

    def _persist_if_due(self) -> None:
        self._nudge.wait(_TICK)
        self._nudge.clear()
        if not self._closing.is_set() and (self._is_full() or self._is_old() or self._is_in_the_way()):
            self.persist()

    def _tidy(self) -> None:
        """Expiry, compaction, deletion."""
        self._closing.wait(min(self.settings.retention_interval, self.settings.compaction_interval, _TICK))
        now = time.monotonic()
        if now - self._expired_at >= self.settings.retention_interval:
            self._expired_at = now
            admin.remove_due(self.ingest)
            self._keeper.drop_expired()
        if now - self._compacted_at >= self.settings.compaction_interval:
            # Under load memory is needed to take rows, and the processor to persist them.
            self._keeper.compact(lambda: self._closing.is_set() or self._is_full())
            self._compacted_at = time.monotonic()
        self._keeper.sweep()


def _log_failure(what: str, error: Exception) -> None:
    """One line for what a disk may do; where nobody knows what happened, the traceback too."""
    logger.error("%s: %s", what, error, exc_info=None if isinstance(error, OSError) else error)
