"""What an administrator may ask of the catalog: create, change and delete databases, tables, triggers and tokens.

Each function checks the request and applies it in one step (nothing can come between the two), and returns
when the change is durable. All raise WalFull and WalFailed beside what they name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from headrace.storage.catalog import Catalog, DatabaseInfo, TableInfo, TokenInfo, TriggerDefinition
from headrace.storage.catalog_info import ADMIN_PERMISSION
from headrace.storage.catalog_records import (
    CreateDatabase,
    CreateToken,
    CreateTrigger,
    DeleteDatabase,
    DeleteTable,
    DeleteToken,
    DeleteTrigger,
    Record,
    RemoveDatabase,
    RemoveTable,
    SetDatabaseRetention,
    SetTokenHash,
    SetTriggerDisabled,
)
from headrace.storage.errors import (
    AlreadyDeleted,
    AlreadyExists,
    InternalDatabase,
    InvalidColumns,
    NoOperatorToken,
    OperatorTokenKept,
    TriggerRunning,
)
from headrace.storage.hard_deletion import (
    DEFAULT_DELAY_NS,
    LATEST_NS,
    HardDeletion,
    deleted_name,
    resolve_hard_deletion,
)
from headrace.storage.ingest import Ingest
from headrace.storage.limits import too_many_tokens, too_many_triggers
from headrace.storage.names import INTERNAL_DATABASE, check_token_name, check_trigger_name, shown
from headrace.storage.schema_plan import SchemaPlan
from headrace.storage.tokens import OPERATOR_TOKEN, new_token
from headrace.wal.entry import HERE, CursorMove
from headrace.wal.schema import ColumnType

_EXISTS = "attempted to create a resource that already exists"
_DELETED = "attempted to modify resource that was already deleted"

FieldType = Literal["utf8", "int64", "uint64", "float64", "bool"]


# Databases


def create_database(ingest: Ingest, name: str, retention_ns: int | None = None) -> DatabaseInfo:
    """Raises InvalidDatabaseName, AlreadyExists, LimitExceeded."""

    def plan(catalog: Catalog) -> list[Record]:
        _refuse_internal(name)
        if catalog.view.database(name) is not None:
            raise AlreadyExists(f"{_EXISTS}: database {name!r}")
        SchemaPlan(catalog.view, catalog.limits, 0).check_database(name)
        return [CreateDatabase(catalog.view.next.database, name, ingest.clock(), _bounded(retention_ns))]

    _commit(ingest, plan)
    return ingest.catalog.database(name)


def set_database_retention(ingest: Ingest, name: str, retention_ns: int | None) -> None:
    """Rows older than ``retention_ns`` may go from now on; None keeps them for ever.

    Raises InternalDatabase, DatabaseNotFound, AlreadyDeleted.
    """
    kept = _bounded(retention_ns)
    _commit(ingest, lambda catalog: [SetDatabaseRetention(_live_database(catalog, name).id, kept)])


def delete_database(
    ingest: Ingest, name: str, hard_delete_at: HardDeletion = "default", *, default_delay_ns: int = DEFAULT_DELAY_NS
) -> None:
    """Delete a database with its tables; its triggers are disabled, its name is free.

    Given the name of a deleted one (``name-YYYYMMDDTHHMMSS``), changes when it is removed for good.
    Raises InternalDatabase, DatabaseNotFound; AlreadyDeleted if it is deleted and nothing would change.
    """

    def plan(catalog: Catalog) -> list[Record]:
        _refuse_internal(name, "delete")
        found = catalog.view.database(name) or catalog.view.deleted_database(name) or catalog.database(name)
        now = ingest.clock()
        when = _removal(found, hard_delete_at, now, default_delay_ns)
        if found.deleted_ns is not None:
            if when == found.hard_delete_ns:
                raise AlreadyDeleted(f"{_DELETED}: {found.name}")
            return [DeleteDatabase(found.id, found.name, found.deleted_ns, when)]
        taken = {each.name for each in catalog.view.databases.values()}
        return [DeleteDatabase(found.id, _free_name(deleted_name(name, now), taken), now, when)]

    _commit(ingest, plan)


# Tables


def create_table(
    ingest: Ingest,
    database: str,
    table: str,
    tags: Sequence[str],
    fields: Sequence[tuple[str, FieldType | ColumnType]] = (),
) -> TableInfo:
    """Create an empty table, and its database where there is none. Tags keep their order: rows are sorted by it.

    Raises AlreadyExists, InvalidName, InvalidColumns, LimitExceeded.
    """
    columns: dict[str, ColumnType] = {}
    for name, kind in [*((tag, ColumnType.TAG) for tag in tags), *fields]:
        if name in columns:
            raise InvalidColumns(f"table {table!r}: column {shown(name)} is named twice")
        columns[name] = _column_type(table, name, kind)

    def plan(catalog: Catalog) -> list[Record]:
        schema_plan = SchemaPlan(catalog.view, catalog.limits, ingest.clock())
        schema_plan.check_database(database)
        if schema_plan.schema(database, table) is not None:
            raise AlreadyExists(f"{_EXISTS}: table {table!r} in database {database!r}")
        if refusals := schema_plan.review(database, [(table, columns)]):
            raise refusals[table].first
        schema_plan.admit(database, table, columns)
        return schema_plan.records

    _commit(ingest, plan)
    return ingest.catalog.table(database, table)


def delete_table(
    ingest: Ingest,
    database: str,
    table: str,
    hard_delete_at: HardDeletion = "default",
    *,
    default_delay_ns: int = DEFAULT_DELAY_NS,
) -> None:
    """Delete a table; its name is free.

    Given the name of a deleted one, changes when it is removed for good. Raises InternalDatabase,
    DatabaseNotFound, TableNotFound; AlreadyDeleted if the table or its database is deleted and nothing
    would change.
    """

    def plan(catalog: Catalog) -> list[Record]:
        info = _live_database(catalog, database)
        deleted = (each for each in info.deleted_tables.values() if each.name == table)
        found = info.tables.get(table) or next(deleted, None) or catalog.table(database, table)
        now = ingest.clock()
        when = _removal(found, hard_delete_at, now, default_delay_ns)
        if found.deleted_ns is not None:
            if when == found.hard_delete_ns:
                raise AlreadyDeleted(f"{_DELETED}: {found.name}")
            return [DeleteTable(found.id, found.name, found.deleted_ns, when)]
        taken = {each.name for each in [*info.tables.values(), *info.deleted_tables.values()]}
        return [DeleteTable(found.id, _free_name(deleted_name(table, now), taken), now, when)]

    _commit(ingest, plan)


def remove_due(ingest: Ingest) -> list[int]:
    """Hard-delete every database and table whose time has come; returns the ids of all tables that are gone."""
    gone: list[int] = []

    def plan(catalog: Catalog) -> list[Record]:
        databases, tables = catalog.due_for_removal(ingest.clock())
        going = {each.id for each in databases}
        gone.extend(each.id for each in catalog.view.tables.values() if each.database_id in going)
        gone.extend(each.id for each in tables)
        return [*(RemoveDatabase(each.id) for each in databases), *(RemoveTable(each.id) for each in tables)]

    _commit(ingest, plan)
    return gone


# Triggers


def create_trigger(
    ingest: Ingest,
    database: str,
    name: str,
    plugin_path: str,
    spec: str,
    *,
    arguments: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    disabled: bool = False,
) -> TriggerDefinition:
    """Create a trigger. One that fires on rows begins with those written after it.

    Whether plugin, spec and settings make sense is the processing engine's to check. Raises InvalidName,
    InternalDatabase, DatabaseNotFound, AlreadyDeleted, AlreadyExists, LimitExceeded.
    """

    def plan(catalog: Catalog) -> list[Record | CursorMove]:
        info = _live_database(catalog, database)
        check_trigger_name(name)
        if name in info.triggers:
            raise AlreadyExists(f"{_EXISTS}: trigger {name!r} in database {database!r}")
        if len(catalog.triggers()) >= catalog.limits.triggers:
            raise too_many_triggers(name, catalog.limits.triggers)
        trigger_id = catalog.view.next.trigger
        record = CreateTrigger(
            id=trigger_id,
            database_id=info.id,
            name=name,
            plugin_path=plugin_path,
            spec=spec,
            arguments=None if arguments is None else dict(arguments),
            disabled=disabled,
            settings=dict(settings or {}),
            created_ns=ingest.clock(),
        )
        return [record, CursorMove(trigger_id, HERE)] if _reads_rows(spec) else [record]

    _commit(ingest, plan)
    return ingest.catalog.trigger(database, name)


def set_trigger_disabled(
    ingest: Ingest, database: str, name: str, disabled: bool, *, from_now: bool = False
) -> TriggerDefinition:
    """Disable or enable a trigger. It goes on at its cursor, or with ``from_now`` behind the newest row.

    Raises InternalDatabase, DatabaseNotFound, AlreadyDeleted, TriggerNotFound. That it is so already is no error.
    """

    def plan(catalog: Catalog) -> list[Record | CursorMove]:
        _live_database(catalog, database)
        trigger = catalog.trigger(database, name)
        if trigger.disabled is disabled:
            return []
        record = SetTriggerDisabled(trigger.id, disabled)
        skip = from_now and not disabled and _reads_rows(trigger.spec)
        return [record, CursorMove(trigger.id, HERE)] if skip else [record]

    _commit(ingest, plan)
    return ingest.catalog.trigger(database, name)


def delete_trigger(ingest: Ingest, database: str, name: str, *, force: bool = False) -> None:
    """Raises InternalDatabase, DatabaseNotFound, AlreadyDeleted, TriggerNotFound; TriggerRunning without ``force``."""

    def plan(catalog: Catalog) -> list[Record]:
        _live_database(catalog, database)
        trigger = catalog.trigger(database, name)
        if not trigger.disabled and not force:
            raise TriggerRunning(f"Cannot delete running plugin {name}. Disable it first or use --force.")
        return [DeleteTrigger(trigger.id)]

    _commit(ingest, plan)


# Tokens


def create_token(ingest: Ingest, name: str = OPERATOR_TOKEN, *, expires_ns: int | None = None) -> tuple[TokenInfo, str]:
    """Make an admin token; returns what is stored of it, and the token itself, which nobody will see again.

    Raises InvalidName, AlreadyExists, LimitExceeded.
    """
    token = new_token()
    return store_token_hash(ingest, name, token.hash, expires_ns=expires_ns), token.text


def store_token_hash(ingest: Ingest, name: str, hashed: str, *, expires_ns: int | None = None) -> TokenInfo:
    """Take up an admin token that was made elsewhere; ``hashed`` is its hex SHA-512. Raises as ``create_token``."""

    def plan(catalog: Catalog) -> list[Record]:
        check_token_name(name)
        view = catalog.view
        if name in view.tokens:
            raise AlreadyExists(f"token name already exists, {name}")
        if hashed in view.token_hashes:
            raise AlreadyExists(f"the token is there already, as {view.token_hashes[hashed].name!r}")
        if len(view.tokens) >= catalog.limits.tokens:
            raise too_many_tokens(name, catalog.limits.tokens)
        return [CreateToken(view.next.token, name, hashed, ingest.clock(), _bounded(expires_ns), (ADMIN_PERMISSION,))]

    _commit(ingest, plan)
    return ingest.catalog.token(name)


def regenerate_token(ingest: Ingest) -> tuple[TokenInfo, str]:
    """Make the operator token anew; the old one is void. Raises NoOperatorToken."""
    token = new_token()

    def plan(catalog: Catalog) -> list[Record]:
        known = catalog.view.tokens.get(OPERATOR_TOKEN)
        if known is None:
            raise NoOperatorToken("missing admin token, cannot update")
        return [SetTokenHash(known.id, token.hash, ingest.clock())]

    _commit(ingest, plan)
    return ingest.catalog.token(OPERATOR_TOKEN), token.text


def delete_token(ingest: Ingest, name: str) -> None:
    """Raises OperatorTokenKept, TokenNotFound."""

    def plan(catalog: Catalog) -> list[Record]:
        if name == OPERATOR_TOKEN:
            raise OperatorTokenKept("cannot delete operator token")
        return [DeleteToken(catalog.token(name).id)]

    _commit(ingest, plan)


def _commit(ingest: Ingest, plan: Callable[[Catalog], Sequence[Record | CursorMove]]) -> None:
    ingest.change(plan).result()


def _refuse_internal(name: str, verb: str = "modify") -> None:
    if name == INTERNAL_DATABASE:
        raise InternalDatabase(f"cannot {verb} internal db {name!r}")


def _live_database(catalog: Catalog, name: str) -> DatabaseInfo:
    _refuse_internal(name)
    if catalog.view.database(name) is None and catalog.view.deleted_database(name) is not None:
        raise AlreadyDeleted(f"{_DELETED}: {name}")
    return catalog.database(name)


def _removal(thing: DatabaseInfo | TableInfo, when: HardDeletion, now_ns: int, delay_ns: int) -> int | None:
    return resolve_hard_deletion(when, now_ns, standing_ns=thing.hard_delete_ns, delay_ns=delay_ns)


def _free_name(name: str, taken: set[str]) -> str:
    """``name``, or with a number behind it if two things left the same name in one second."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free


def _bounded(nanoseconds: int | None) -> int | None:
    """Records hold 64-bit integers; what is longer lasts for ever anyhow."""
    return None if nanoseconds is None else min(nanoseconds, LATEST_NS)


def _reads_rows(spec: str) -> bool:
    """Whether a trigger has a place in the log. (Of a scheduled one the cursor is the time it last fired.)"""
    return spec == "all_tables" or spec.startswith("table:")


def _column_type(table: str, name: str, kind: str) -> ColumnType:
    try:
        found = ColumnType(kind)
    except ValueError:
        found = ColumnType.TIME
    if found is ColumnType.TIME:
        names = ", ".join(each for each in ColumnType if each.is_field)
        raise InvalidColumns(f"table {table!r}: field {shown(name)} cannot have type {kind!r}; types are {names}")
    return found
