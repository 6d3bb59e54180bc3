"""From one state of the catalog and some records to the next state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, cast

from headrace.storage.catalog_info import DatabaseInfo, TableInfo, TokenInfo, TriggerDefinition
from headrace.storage.catalog_records import (
    AddColumns,
    CreateDatabase,
    CreateTable,
    CreateToken,
    CreateTrigger,
    DeleteDatabase,
    DeleteTable,
    DeleteToken,
    DeleteTrigger,
    NextIds,
    Record,
    RemoveDatabase,
    RemoveTable,
    SetDatabaseRetention,
    SetTokenHash,
    SetTriggerDisabled,
    State,
)
from headrace.storage.catalog_view import CatalogView
from headrace.storage.errors import CatalogDamaged
from headrace.wal.schema import TableSchema


def advance(view: CatalogView, records: Iterable[Record]) -> CatalogView:
    """``view`` after ``records``. Raises CatalogDamaged for what cannot follow from it."""
    builder = CatalogBuilder(view)
    for record in records:
        builder.apply(record)
    return builder.build()


def load(state: State) -> CatalogView:
    """The view whose ``records()`` and ``next`` the state holds. Raises CatalogDamaged."""
    builder = CatalogBuilder(CatalogView(), loading=True)
    for record in state.records:
        builder.apply(record)
    return builder.build(state.next)


class CatalogBuilder:
    """A view under construction: begins as a copy of one, takes records, becomes the next one.

    The log may be replayed over a state that contains some of its records already, so creating what has been
    created before (its id was given out) and changing what has been removed since do nothing. While
    ``loading`` a state, ids come in any order, each once.
    """

    def __init__(self, view: CatalogView, *, loading: bool = False) -> None:
        self._loading = loading
        self._databases = dict(view.databases)
        self._database_ids = dict(view.database_ids)
        self._tables = dict(view.tables)
        self._triggers = dict(view.triggers)
        self._tokens = dict(view.tokens)
        self._token_names = {token.id: token.name for token in view.tokens.values()}
        self._next = {
            "database": view.next.database,
            "table": view.next.table,
            "token": view.next.token,
            "trigger": view.next.trigger,
        }
        # Databases whose inner mappings are this builder's own copies: these it changes in place.
        self._own: set[int] = set()

    def database(self, name: str) -> DatabaseInfo | None:
        """The live database of that name, as built so far."""
        found = self._database_ids.get(name)
        return None if found is None else self._databases[found]

    def next_id(self, kind: str) -> int:
        """The id that the next ``database``, ``table``, ``token`` or ``trigger`` gets."""
        return self._next[kind]

    def apply(self, record: Record) -> None:
        """Raises CatalogDamaged for a record that cannot follow from what came before."""
        _APPLY[type(record)](self, record)

    def build(self, following: NextIds | None = None) -> CatalogView:
        """The view; the builder is not to be used afterwards."""
        return CatalogView(
            databases=self._databases,
            database_ids=self._database_ids,
            tables=self._tables,
            triggers=self._triggers,
            tokens=self._tokens,
            token_hashes={token.hash: token for token in self._tokens.values()},
            next=following or NextIds(**self._next),
        )

    # Ids

    def _is_new(self, kind: str, identity: int) -> bool:
        """Whether this id has not been given out yet; takes note that now it has."""
        if not self._loading and identity < self._next[kind]:
            return False
        self._next[kind] = max(self._next[kind], identity + 1)
        return True

    def _exists(self, kind: str, identity: int, existing: Mapping[int, Any]) -> bool:
        """Whether the thing exists; False if it was removed; raises CatalogDamaged if it never did."""
        if identity in existing:
            return True
        if identity < self._next[kind] and not self._loading:
            return False
        raise CatalogDamaged(f"catalog record for {kind} {identity}, which was never created")

    def _open(self, database_id: int) -> DatabaseInfo:
        """The database, its inner mappings made this builder's own."""
        info = self._databases[database_id]
        if database_id not in self._own:
            self._own.add(database_id)
            info = replace(
                info,
                tables=dict(info.tables),
                deleted_tables=dict(info.deleted_tables),
                triggers=dict(info.triggers),
            )
            self._databases[database_id] = info
        return info

    # Databases

    def _create_database(self, record: CreateDatabase) -> None:
        if self._is_new("database", record.id):
            info = DatabaseInfo(record.id, record.name, record.created_ns, record.retention_ns)
            self._databases[record.id] = info
            self._database_ids[record.name] = record.id

    def _set_database_retention(self, record: SetDatabaseRetention) -> None:
        if self._exists("database", record.database_id, self._databases):
            info = self._databases[record.database_id]
            self._databases[record.database_id] = replace(info, retention_ns=record.retention_ns)

    def _delete_database(self, record: DeleteDatabase) -> None:
        if not self._exists("database", record.database_id, self._databases):
            return
        info = self._open(record.database_id)
        if self._database_ids.get(info.name) == record.database_id:
            del self._database_ids[info.name]
        tables, deleted = _changeable(info.tables), _changeable(info.deleted_tables)
        for table in tables.values():
            table = replace(table, deleted_ns=record.deleted_ns, hard_delete_ns=record.hard_delete_ns)
            deleted[table.id] = self._tables[table.id] = table
        tables.clear()
        triggers = _changeable(info.triggers)
        for trigger in list(triggers.values()):
            triggers[trigger.name] = replace(trigger, database=record.name, disabled=True)
        self._databases[record.database_id] = replace(
            info, name=record.name, deleted_ns=record.deleted_ns, hard_delete_ns=record.hard_delete_ns
        )

    def _remove_database(self, record: RemoveDatabase) -> None:
        if not self._exists("database", record.database_id, self._databases):
            return
        info = self._databases.pop(record.database_id)
        if self._database_ids.get(info.name) == record.database_id:
            del self._database_ids[info.name]
        for table in [*info.tables.values(), *info.deleted_tables.values()]:
            del self._tables[table.id]
        for trigger in info.triggers.values():
            del self._triggers[trigger.id]

    # Tables

    def _create_table(self, record: CreateTable) -> None:
        if not self._is_new("table", record.id):
            return
        if self._exists("database", record.database_id, self._databases):
            schema = TableSchema(record.name).with_columns(dict(record.columns))
            table = TableInfo(record.id, record.database_id, schema)
            self._tables[record.id] = table
            _changeable(self._open(record.database_id).tables)[record.name] = table

    def _add_columns(self, record: AddColumns) -> None:
        if self._exists("table", record.table_id, self._tables):
            table = self._tables[record.table_id]
            added = {name: kind for name, kind in record.columns if name not in table.schema.columns}
            if added:
                self._put_table(replace(table, schema=table.schema.with_columns(added)))

    def _delete_table(self, record: DeleteTable) -> None:
        if not self._exists("table", record.table_id, self._tables):
            return
        table = self._tables[record.table_id]
        if not table.deleted:
            del _changeable(self._open(table.database_id).tables)[table.name]
        self._put_table(
            replace(
                table,
                schema=TableSchema(record.name, table.schema.columns),
                deleted_ns=record.deleted_ns,
                hard_delete_ns=record.hard_delete_ns,
            )
        )

    def _remove_table(self, record: RemoveTable) -> None:
        if not self._exists("table", record.table_id, self._tables):
            return
        table = self._tables.pop(record.table_id)
        info = self._open(table.database_id)
        if table.deleted:
            del _changeable(info.deleted_tables)[table.id]
        else:
            del _changeable(info.tables)[table.name]

    def _put_table(self, table: TableInfo) -> None:
        self._tables[table.id] = table
        info = self._open(table.database_id)
        if table.deleted:
            _changeable(info.deleted_tables)[table.id] = table
        else:
            _changeable(info.tables)[table.name] = table

    # Triggers

    def _create_trigger(self, record: CreateTrigger) -> None:
        if not self._is_new("trigger", record.id):
            return
        if self._exists("database", record.database_id, self._databases):
            info = self._open(record.database_id)
            self._triggers[record.id] = (record.database_id, record.name)
            _changeable(info.triggers)[record.name] = TriggerDefinition(
                id=record.id,
                name=record.name,
                database=info.name,
                plugin_path=record.plugin_path,
                spec=record.spec,
                arguments=record.arguments,
                disabled=record.disabled,
                settings=record.settings,
                created_ns=record.created_ns,
            )

    def _set_trigger_disabled(self, record: SetTriggerDisabled) -> None:
        if self._exists("trigger", record.trigger_id, self._triggers):
            database_id, name = self._triggers[record.trigger_id]
            info = self._open(database_id)
            trigger = replace(info.triggers[name], disabled=record.disabled or info.deleted)
            _changeable(info.triggers)[name] = trigger

    def _delete_trigger(self, record: DeleteTrigger) -> None:
        if self._exists("trigger", record.trigger_id, self._triggers):
            database_id, name = self._triggers.pop(record.trigger_id)
            del _changeable(self._open(database_id).triggers)[name]

    # Tokens

    def _create_token(self, record: CreateToken) -> None:
        if self._is_new("token", record.id):
            self._token_names[record.id] = record.name
            self._tokens[record.name] = TokenInfo(
                record.id, record.name, record.hash, record.created_ns, record.expires_ns, record.permissions
            )

    def _set_token_hash(self, record: SetTokenHash) -> None:
        if self._exists("token", record.token_id, self._token_names):
            name = self._token_names[record.token_id]
            self._tokens[name] = replace(self._tokens[name], hash=record.hash, updated_ns=record.updated_ns)

    def _delete_token(self, record: DeleteToken) -> None:
        if self._exists("token", record.token_id, self._token_names):
            del self._tokens[self._token_names.pop(record.token_id)]


def _changeable(mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    """A mapping of an opened database, which is a dict of the builder's own."""
    return cast("dict[Any, Any]", mapping)


_APPLY: Final[Mapping[type, Callable[[CatalogBuilder, Any], None]]] = {
    CreateDatabase: CatalogBuilder._create_database,
    SetDatabaseRetention: CatalogBuilder._set_database_retention,
    DeleteDatabase: CatalogBuilder._delete_database,
    RemoveDatabase: CatalogBuilder._remove_database,
    CreateTable: CatalogBuilder._create_table,
    AddColumns: CatalogBuilder._add_columns,
    DeleteTable: CatalogBuilder._delete_table,
    RemoveTable: CatalogBuilder._remove_table,
    CreateTrigger: CatalogBuilder._create_trigger,
    SetTriggerDisabled: CatalogBuilder._set_trigger_disabled,
    DeleteTrigger: CatalogBuilder._delete_trigger,
    CreateToken: CatalogBuilder._create_token,
    SetTokenHash: CatalogBuilder._set_token_hash,
    DeleteToken: CatalogBuilder._delete_token,
}
