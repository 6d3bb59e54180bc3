"""The owner of the files: what makes them, replaces them and deletes them, one step at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from headrace.storage.buffer import Buffer, Cut
from headrace.storage.catalog import Catalog
from headrace.storage.catalog_info import TableInfo
from headrace.storage.compaction import Job, choose, max_rows, merged_rows
from headrace.storage.free_memory import free_memory
from headrace.storage.manifest import Change, Files, Manifest
from headrace.storage.objects import Draft, Objects
from headrace.storage.persist import write_table
from headrace.storage.retention import DoomedFiles, expired_files, is_gone
from headrace.storage.snapshot import DataFile
from headrace.storage.store_settings import StoreSettings

logger = logging.getLogger(__name__)


class FileKeeper:
    """Changes the manifest and then what readers see, in that order. All methods may be called from any thread."""

    def __init__(
        self,
        settings: StoreSettings,
        objects: Objects,
        prefix: str,
        manifest: Manifest,
        buffer: Buffer,
        catalog: Catalog,
        clock: Callable[[], int],
    ) -> None:
        """``prefix`` is the node's part of each object's path."""
        self._settings = settings
        self._objects = objects
        self._data = f"{prefix}/dbs"
        self._manifest = manifest
        self._buffer = buffer
        self._catalog = catalog
        self._clock = clock
        self._doomed = DoomedFiles(objects, settings.delete_grace, time.monotonic)
        # Held while the manifest changes, and by a persist from beginning to end.
        self._work = threading.Lock()
        self._compactions = 0
        # Per table the files in which nothing was found to put together.
        self._settled: dict[int, tuple[DataFile, ...]] = {}

    @property
    def persisted_sequence(self) -> int:
        """Everything up to this is in files."""
        return self._manifest.state.persisted_sequence

    def remove_orphans(self, prefix: str) -> None:
        """Delete files that no manifest lists: what a killed process was writing, or had yet to delete.

        Files that are listed and are not there are named in the log.
        """
        live = {file.path for own in self._buffer.files().values() for file in own}
        found = {path for path, _ in self._objects.list(self._data)}
        if missing := sorted(live - found):
            logger.error("%d files are missing, queries that need them fail; the first: %s", len(missing), missing[0])
        orphans = found - live
        for path in orphans:
            self._objects.delete(path)
        unfinished = self._objects.remove_unfinished(prefix)
        if orphans or unfinished:
            logger.info("removed %d files that are not part of the database", len(orphans) + unfinished)

    def persist(self, pins: Mapping[int, int]) -> int | None:
        """Move everything committed so far from memory to files; gives the last sequence, None if nothing was new.

        ``pins`` are trigger cursors that may be further than the committed ones. Raises OSError, ManifestConflict.
        """
        with self._work:
            cut = self._buffer.cut()
            if cut.sequence == self.persisted_sequence:
                return None
            started = time.monotonic()
            draft = Draft(self._objects)
            try:
                added = self._write(cut, draft)
                draft.sync()
            except BaseException:
                # A full disk must not fill further with every attempt. After this point it would be wrong: of a
                # manifest whose commit fails nobody knows whether it is there.
                draft.discard()
                raise
            change = Change(cut.sequence, self._cursors(cut.cursors, pins), cut.records, added)
            self._buffer.swap(cut, self._manifest.commit(change, self._catalog.to_state))
        rows, size, count = _totals(added)
        sequence = cut.sequence
        del cut
        free_memory()
        seconds = time.monotonic() - started
        logger.info("persisted %d rows to %d files, %d MB, in %.1f s", rows, count, size >> 20, seconds)
        return sequence

    def _write(self, cut: Cut, draft: Draft) -> Files:
        added: dict[int, tuple[DataFile, ...]] = {}
        now = self._clock()
        for table_id, (buffer, count) in cut.tables.items():
            table = self._catalog.table_by_id(table_id)
            if table is None or is_gone(self._catalog, table, now) or not count:
                continue
            files = write_table(
                draft,
                f"{self._data}/{table.database_id}/{table_id}",
                buffer.rows(count),
                table.schema,
                sequence=cut.sequence,
                gen1_ns=self._settings.gen1_ns,
                max_files=self._settings.max_files_per_persist,
            )
            added[table_id] = tuple(files)
        return added

    def _cursors(self, cursors: Mapping[int, int], pins: Mapping[int, int]) -> dict[int, int]:
        """Cursors of triggers that still exist, moved on to their pins."""
        # With the lock nothing is half-way between the log and the catalog: a new trigger is never missed.
        with self._catalog.lock:
            known = self._catalog.view.triggers
        return {each: max(at, pins.get(each, at)) for each, at in cursors.items() if each in known}

    def drop_expired(self) -> None:
        """Let go of files that nobody may see any more. Raises OSError, ManifestConflict."""
        with self._work:
            expired = expired_files(self._buffer.files(), self._catalog, self._clock())
            if expired:
                self._commit({}, expired)
        if expired:
            logger.info("dropped %d expired files", sum(map(len, expired.values())))

    def sweep(self) -> None:
        """Delete files that are no longer live and that no snapshot has any more."""
        with self._work:
            self._doomed.sweep()

    def compact(self, stop: Callable[[], bool]) -> int:
        """Put small files together, table by table, until nothing is left to do or ``stop()``; gives the jobs done.

        Raises OSError, ManifestConflict.
        """
        done = 0
        for table_id in list(self._buffer.files()):
            while not stop():
                files = self._buffer.files().get(table_id, ())
                table = self._catalog.table_by_id(table_id)
                if table is None or self._settled.get(table_id) is files:
                    break
                job = choose(files, max_rows(table.schema))
                if job is None:
                    self._settled[table_id] = files
                    break
                done += self._compact(table, job)
        self._settled = {
            table_id: self._settled[table_id] for table_id in self._settled if table_id in self._buffer.files()
        }
        return done

    def _compact(self, table: TableInfo, job: Job) -> bool:
        """Whether the job was done: some of its files may have expired in the middle of it."""
        started = time.monotonic()
        self._compactions += 1
        draft = Draft(self._objects)
        try:
            made = self._merge(table, job, draft)
            draft.sync()
        except BaseException:
            draft.discard()
            raise
        with self._work:
            live = {file.path for file in self._buffer.files().get(table.id, ())}
            current = all(file.path in live for file in job.files)
            if current:
                self._commit({table.id: tuple(made)}, {table.id: job.files})
            else:
                draft.discard()
        free_memory()
        if current:
            seconds = time.monotonic() - started
            logger.info("%s: %d files became %d in %.1f s", table.name, len(job.files), len(made), seconds)
        return current

    def _merge(self, table: TableInfo, job: Job, draft: Draft) -> list[DataFile]:
        return write_table(
            draft,
            f"{self._data}/{table.database_id}/{table.id}",
            merged_rows(self._objects.root, job, table.id, table.schema),
            table.schema,
            sequence=job.sequence,
            gen1_ns=job.width_ns or self._settings.gen1_ns,
            max_files=1 if job.width_ns else max(1, len(job.files) // 2),
            suffix=f"-{time.time_ns():x}-{self._compactions}",
        )

    def _commit(self, added: Files, removed: Mapping[int, Sequence[DataFile]]) -> None:
        paths = {table_id: [file.path for file in files] for table_id, files in removed.items()}
        state = self._manifest.state
        change = Change(state.persisted_sequence, state.cursors, added=added, removed=paths)
        files = self._manifest.commit(change, self._catalog.to_state)
        generation = self._buffer.replace_files(files)
        self._doomed.add([path for own in paths.values() for path in own], generation)


def _totals(files: Files) -> tuple[int, int, int]:
    """Rows, bytes and number."""
    own = [file for each in files.values() for file in each]
    return sum(file.rows for file in own), sum(file.size for file in own), len(own)
