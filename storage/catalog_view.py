"""One state of the catalog, as a value that never changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from headrace.storage.catalog_info import DatabaseInfo, TableInfo, TokenInfo, TriggerDefinition
from headrace.storage.catalog_records import (
    Columns,
    CreateDatabase,
    CreateTable,
    CreateToken,
    CreateTrigger,
    DeleteDatabase,
    DeleteTable,
    NextIds,
    Record,
    SetTokenHash,
)
from headrace.storage.names import INTERNAL_DATABASE
from headrace.wal.schema import TIME_COLUMN, TableSchema

_DAY_NS: Final = 86_400 * 1_000_000_000
INTERNAL_ID: Final = 0
_INTERNAL: Final = DatabaseInfo(INTERNAL_ID, INTERNAL_DATABASE, created_ns=0, retention_ns=7 * _DAY_NS)


@dataclass(frozen=True, slots=True)
class CatalogView:
    """Everything in the catalog at one moment. The mappings are not to be changed."""

    databases: Mapping[int, DatabaseInfo] = field(default_factory=lambda: {INTERNAL_ID: _INTERNAL})
    """All databases by id, deleted ones included."""
    database_ids: Mapping[str, int] = field(default_factory=lambda: {INTERNAL_DATABASE: INTERNAL_ID})
    """The live databases' ids by name."""
    tables: Mapping[int, TableInfo] = field(default_factory=dict)
    """All tables by id, deleted ones included."""
    triggers: Mapping[int, tuple[int, str]] = field(default_factory=dict)
    """Where each trigger is, by its id: its database's id and its name there."""
    tokens: Mapping[str, TokenInfo] = field(default_factory=dict)
    """Tokens by name."""
    token_hashes: Mapping[str, TokenInfo] = field(default_factory=dict)
    """Tokens by hash."""
    next: NextIds = field(default_factory=NextIds)
    """The id that the next thing of each kind gets."""

    def database(self, name: str) -> DatabaseInfo | None:
        """The live database of that name."""
        found = self.database_ids.get(name)
        return None if found is None else self.databases[found]

    def deleted_database(self, name: str) -> DatabaseInfo | None:
        """The deleted database that got that name when it was deleted."""
        return next((each for each in self.databases.values() if each.deleted and each.name == name), None)

    def table(self, database: str, table: str) -> TableInfo | None:
        """The live table of that name in the live database of that name."""
        found = self.database(database)
        return None if found is None else found.tables.get(table)

    def trigger(self, trigger_id: int) -> TriggerDefinition | None:
        """The trigger with that id, whether its database is live or deleted."""
        place = self.triggers.get(trigger_id)
        return None if place is None else self.databases[place[0]].triggers[place[1]]

    def live_databases(self) -> Iterator[DatabaseInfo]:
        """Every database that is not deleted, ``_internal`` included."""
        return (self.databases[each] for each in self.database_ids.values())

    def records(self) -> Iterator[Record]:
        """The shortest list of records that leads from the empty catalog to this view, its next ids aside."""
        # Deleted things go first: a live one may have taken the name that a deleted one has got.
        for database in sorted(self.databases.values(), key=lambda each: (not each.deleted, each.id)):
            if database.id != INTERNAL_ID:
                yield from _database_records(database)
        for token in sorted(self.tokens.values(), key=lambda each: each.id):
            yield CreateToken(token.id, token.name, token.hash, token.created_ns, token.expires_ns, token.permissions)
            if token.updated_ns is not None:
                yield SetTokenHash(token.id, token.hash, token.updated_ns)


def columns_of(schema: TableSchema) -> Columns:
    """A schema's columns as records hold them: in order, without ``time``."""
    return tuple((name, kind) for name, kind in schema.columns.items() if name != TIME_COLUMN)


def _database_records(database: DatabaseInfo) -> Iterator[Record]:
    yield CreateDatabase(database.id, database.name, database.created_ns, database.retention_ns)
    for table in [*database.deleted_tables.values(), *database.tables.values()]:
        yield CreateTable(table.id, database.id, table.name, columns_of(table.schema))
        if table.deleted_ns is not None:
            yield DeleteTable(table.id, table.name, table.deleted_ns, table.hard_delete_ns)
    for trigger in database.triggers.values():
        yield CreateTrigger(
            id=trigger.id,
            database_id=database.id,
            name=trigger.name,
            plugin_path=trigger.plugin_path,
            spec=trigger.spec,
            arguments=None if trigger.arguments is None else dict(trigger.arguments),
            disabled=trigger.disabled,
            settings=dict(trigger.settings),
            created_ns=trigger.created_ns,
        )
    if database.deleted_ns is not None:
        yield DeleteDatabase(database.id, database.name, database.deleted_ns, database.hard_delete_ns)
