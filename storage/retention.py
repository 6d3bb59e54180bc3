"""What may be forgotten: frames of the log that nobody needs any more, and files whose time is over."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.storage.catalog import Catalog
from headrace.storage.catalog_info import DatabaseInfo, TableInfo
from headrace.storage.catalog_view import CatalogView
from headrace.storage.objects import Objects
from headrace.storage.snapshot import DataFile
from headrace.wal.segment import list_segments
from headrace.wal.writer import Wal

logger = logging.getLogger(__name__)

_WAL_SPECS = ("table:", "all_tables")


@dataclass(frozen=True, slots=True)
class Hold:
    """An enabled trigger on the log that still needs the frames after ``cursor``."""

    trigger_id: int
    name: str
    cursor: int


def wal_holds(view: CatalogView, cursor: Callable[[int], int | None]) -> list[Hold]:
    """What each enabled trigger on the log holds, the one furthest behind first."""
    holds = []
    for database in view.live_databases():
        for trigger in database.triggers.values():
            if trigger.disabled or not trigger.spec.startswith(_WAL_SPECS):
                continue
            at = cursor(trigger.id)
            if at is not None:
                holds.append(Hold(trigger.id, f"{database.name}.{trigger.name}", at))
    return sorted(holds, key=lambda hold: hold.cursor)


def trim_wal(wal: Wal, directory: Path, persisted: int, holds: Sequence[Hold], max_bytes: int) -> None:
    """Delete the segments that neither a restart nor a trigger needs.

    Frames in files that triggers have yet to read are kept while the log is no larger than
    ``max_bytes``. Beyond that the oldest segments go all the same, and each trigger that loses frames
    is named in the log. Frames above ``persisted`` always stay.
    """
    wal.trim(min([persisted, *(hold.cursor for hold in holds)]))
    while wal.size_bytes > max_bytes:
        segments = list_segments(directory)
        if len(segments) < 2 or segments[1].first > persisted + 1:
            return
        last = segments[1].first - 1
        for hold in holds:
            if hold.cursor < last:
                logger.error(
                    "trigger %s is too far behind: the log exceeds its bound of %d MB, so frames %d to %d, which the "
                    "trigger has not read, are deleted; it misses their rows",
                    hold.name,
                    max_bytes >> 20,
                    max(hold.cursor + 1, segments[0].first),
                    last,
                )
        wal.trim(last)


def retention_cutoff(database: DatabaseInfo, now_ns: int) -> int | None:
    """Rows before this time have expired; None if the database keeps them for ever."""
    return None if database.retention_ns is None else now_ns - database.retention_ns


def unexpired(files: Iterable[DataFile], cutoff: int | None) -> tuple[DataFile, ...]:
    """The files with rows at or after ``cutoff``."""
    return tuple(files) if cutoff is None else tuple(file for file in files if file.max_time >= cutoff)


def is_gone(catalog: Catalog, table: TableInfo | None, now_ns: int) -> bool:
    """Whether a table's rows may be thrown away: it was removed, or its hard deletion is due."""
    if table is None:
        return True
    database = catalog.view.databases.get(table.database_id)
    return any(
        each is not None and each.hard_delete_ns is not None and each.hard_delete_ns <= now_ns
        for each in (table, database)
    )


def expired_files(
    files: Mapping[int, tuple[DataFile, ...]], catalog: Catalog, now_ns: int
) -> dict[int, list[DataFile]]:
    """Live files that nobody may see any more, by table id."""
    found: dict[int, list[DataFile]] = {}
    for table_id, own in files.items():
        table = catalog.table_by_id(table_id)
        if table is None or is_gone(catalog, table, now_ns):
            found[table_id] = list(own)
            continue
        database = catalog.view.databases.get(table.database_id)
        cutoff = None if database is None else retention_cutoff(database, now_ns)
        if cutoff is not None and (dead := [file for file in own if file.max_time < cutoff]):
            found[table_id] = dead
    return found


class Generation:
    """Stands for a set of live files; every snapshot taken of it keeps it alive."""

    __slots__ = ("__weakref__",)


@dataclass(frozen=True, slots=True)
class _Doomed:
    paths: tuple[str, ...]
    since: float
    last_seen: weakref.ref[Generation]


class DoomedFiles:
    """Files that are no longer live, until no snapshot can have them. For one thread at a time."""

    def __init__(self, objects: Objects, grace: float, clock: Callable[[], float]) -> None:
        self._objects = objects
        self._grace = grace
        self._clock = clock
        self._doomed: list[_Doomed] = []

    def add(self, paths: Iterable[str], last_seen: Generation) -> None:
        """``last_seen`` is the last generation in which these files were live."""
        self._doomed.append(_Doomed(tuple(paths), self._clock(), weakref.ref(last_seen)))

    def sweep(self) -> int:
        """Delete what can be deleted; gives the number of files."""
        deleted = 0
        while self._doomed:
            # In order: a snapshot of an older generation may have the files of all later ones.
            oldest = self._doomed[0]
            if oldest.last_seen() is not None or self._clock() - oldest.since < self._grace:
                break
            for path in oldest.paths:
                try:
                    self._objects.delete(path)
                    deleted += 1
                except OSError as error:
                    logger.warning("a file that is no longer live stays until the next start: %s", error)
            del self._doomed[0]
        return deleted
