"""The catalog: databases, tables and their columns, triggers and tokens, as the server knows them now.

Readers take no lock: they look at an immutable view behind one reference. Writers hold ``lock``, build the
next view and put it in the place of the old one. All changes come as records of the write-ahead log
(:mod:`headrace.storage.catalog_records`) through :class:`headrace.storage.ingest.Ingest`, or from a replay.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from headrace.storage.catalog_builder import advance, load
from headrace.storage.catalog_info import DatabaseInfo, TableInfo, TokenInfo, TriggerDefinition
from headrace.storage.catalog_records import Record, decode_record, decode_state, encode_state
from headrace.storage.catalog_view import INTERNAL_ID, CatalogView
from headrace.storage.errors import DatabaseNotFound, TableNotFound, TokenNotFound, TriggerNotFound
from headrace.storage.limits import CatalogLimits
from headrace.storage.names import shown
from headrace.storage.suggest import did_you_mean

__all__ = ["Catalog", "CatalogLimits", "DatabaseInfo", "TableInfo", "TokenInfo", "TriggerDefinition"]


class Catalog:
    """The catalog in memory. Reading is free of locks; ``lock`` orders all changes."""

    def __init__(self, limits: CatalogLimits | None = None, view: CatalogView | None = None) -> None:
        self.limits = limits or CatalogLimits()
        self.lock = threading.RLock()
        self._view = self._newest = view or CatalogView()

    @classmethod
    def from_state(cls, state: Mapping[str, Any], limits: CatalogLimits | None = None) -> Catalog:
        """The catalog that ``to_state`` described. Raises CatalogVersion, CatalogDamaged."""
        return cls(limits, load(decode_state(state)))

    def to_state(self) -> dict[str, Any]:
        """The whole catalog as a JSON object, with every change whose frame is committed or queued.

        Records that are in the state already may be applied to it again, all from some point on and in
        order: they change nothing.
        """
        # Whoever is half-way into the queue holds the lock. Its change must not be seen: should it fail,
        # another one gets its ids. Nor may it be missed: its frame may be committed already.
        with self.lock:
            view = self._view
        return encode_state(view.next, list(view.records()))

    # Reading

    @property
    def view(self) -> CatalogView:
        """Everything at one moment: what one request should look at, if it looks more than once."""
        return self._view

    def databases(self, include_deleted: bool = False) -> list[DatabaseInfo]:
        """All databases, ``_internal`` included, in the order of their names."""
        view = self._view
        found = view.databases.values() if include_deleted else view.live_databases()
        return sorted(found, key=lambda each: (each.name, each.id))

    def database(self, name: str) -> DatabaseInfo:
        """The live database of that name. Raises DatabaseNotFound."""
        view = self._view
        found = view.database(name)
        if found is None:
            raise DatabaseNotFound(f"database not found: {name[:512]}{did_you_mean(name, view.database_ids)}")
        return found

    def table(self, database: str, table: str) -> TableInfo:
        """The live table of that name. Raises DatabaseNotFound, TableNotFound."""
        info = self.database(database)
        found = info.tables.get(table)
        if found is None:
            raise TableNotFound(
                f"table not found: {shown(table)} in database {database!r}{did_you_mean(table, info.tables)}"
            )
        return found

    def table_by_id(self, table_id: int) -> TableInfo | None:
        """The table, live or deleted; None once it was removed for good.

        Rows that the log has committed always find their table and its columns here, even before the
        change that made them is visible by name.
        """
        return self._newest.tables.get(table_id)

    def trigger(self, database: str, name: str) -> TriggerDefinition:
        """Raises DatabaseNotFound, TriggerNotFound."""
        info = self.database(database)
        found = info.triggers.get(name)
        if found is None:
            raise TriggerNotFound(
                f"trigger not found: {shown(name)} in database {database!r}{did_you_mean(name, info.triggers)}"
            )
        return found

    def triggers(self) -> list[TriggerDefinition]:
        """The triggers of all live databases, in the order of their ids."""
        found = (trigger for database in self._view.live_databases() for trigger in database.triggers.values())
        return sorted(found, key=lambda each: each.id)

    def tokens(self) -> list[TokenInfo]:
        """All tokens, expired ones included, in the order of their ids."""
        return sorted(self._view.tokens.values(), key=lambda each: each.id)

    def token(self, name: str) -> TokenInfo:
        """Raises TokenNotFound."""
        view = self._view
        found = view.tokens.get(name)
        if found is None:
            raise TokenNotFound(f"token not found: {shown(name)}{did_you_mean(name, view.tokens)}")
        return found

    def token_by_hash(self, token_hash: str) -> TokenInfo | None:
        """The token with that hex SHA-512, expired or not."""
        return self._view.token_hashes.get(token_hash)

    def due_for_removal(self, now_ns: int) -> tuple[list[DatabaseInfo], list[TableInfo]]:
        """Deleted databases and tables (of databases that are not due themselves) whose time has come."""
        view = self._view
        databases = [each for each in view.databases.values() if _due(each, now_ns)]
        going = {each.id for each in databases}
        tables = [each for each in view.tables.values() if _due(each, now_ns) and each.database_id not in going]
        return databases, tables

    # Changing

    def apply(self, record: Mapping[str, Any]) -> None:
        """Apply a record of the log, while nothing else changes the catalog: replay.

        Raises CatalogVersion for a newer release's record, CatalogDamaged for one that makes no sense.
        """
        self.apply_all([decode_record(record)])

    def apply_all(self, records: Iterable[Record]) -> None:
        """Apply records and show the result at once. Raises CatalogDamaged; then nothing has changed."""
        with self.lock:
            self._newest = advance(self._view, records)
            self._view = self._newest

    @contextmanager
    def advancing(self, records: Iterable[Record]) -> Iterator[None]:
        """Apply records around the block that puts them into the log's queue; ``lock`` must be held.

        What they make is found by id before the block begins, because the log may commit the frame, and
        hand its rows on, before the block ends. It is found by name once the block has ended, because a
        write that sees a table must be queued behind the record that makes it. If the block raises, the
        catalog is what it was.
        """
        self._newest = advance(self._view, records)
        try:
            yield
        except BaseException:
            self._newest = self._view
            raise
        self._view = self._newest


def _due(thing: DatabaseInfo | TableInfo, now_ns: int) -> bool:
    return thing.id != INTERNAL_ID and thing.hard_delete_ns is not None and thing.hard_delete_ns <= now_ns
