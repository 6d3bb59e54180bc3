"""Catalog records: this module alone defines, writes and reads every kind of change of the catalog.

A record is one JSON object. ``v`` is the version of the format, ``kind`` says which of the structs below the
rest of the object is, field by field::

    {"v": 1, "kind": "create_database", "id": 1, "name": "iot", "created_ns": 1764115200123456789, "retention_ns": null}

The write-ahead log carries records (as catalog changes), and the catalog's state in the manifest is a list
of them: the shortest list from which the catalog can be built anew, beside the next ids::

    {"v": 1, "next": {"database": 2, "table": 8, "token": 1, "trigger": 3}, "records": [{…}, …]}

Rules that hold in every version:

- Ids are given out in ascending order, one sequence a kind (databases, tables, tokens, triggers), over the
  whole node, and never again. Database 0 is ``_internal``; it exists without a record.
- A record says what becomes of the catalog, not what someone wished for: nothing in it depends on a clock, a
  setting or a limit of the process that applies it. The same records in the same order give the same catalog.
- Times are nanoseconds since the Unix epoch, durations nanoseconds, null where there is none.
- Columns are pairs of name and type (the values of :class:`headrace.wal.schema.ColumnType`), in the order in
  which the table got them; ``time`` is left out, every table begins with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from headrace.storage.errors import CatalogDamaged, CatalogVersion
from headrace.wal.schema import ColumnType

VERSION: Final = 1

Columns: TypeAlias = tuple[tuple[str, ColumnType], ...]


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all kinds share."""


class CreateDatabase(_Record, frozen=True, tag="create_database"):
    id: int
    name: str
    created_ns: int
    retention_ns: int | None = None


class SetDatabaseRetention(_Record, frozen=True, tag="set_database_retention"):
    """Rows older than ``retention_ns`` may go; null keeps them for ever."""

    database_id: int
    retention_ns: int | None


class DeleteDatabase(_Record, frozen=True, tag="delete_database"):
    """The database leaves its name (a new one may take it) and is called ``name`` from now on.

    Its tables are deleted with it and its triggers disabled. A second record for a deleted database
    changes the time of hard deletion.
    """

    database_id: int
    name: str
    deleted_ns: int
    hard_delete_ns: int | None


class RemoveDatabase(_Record, frozen=True, tag="remove_database"):
    """Hard deletion: database, tables and triggers are gone for good."""

    database_id: int


class CreateTable(_Record, frozen=True, tag="create_table"):
    id: int
    database_id: int
    name: str
    columns: Columns


class AddColumns(_Record, frozen=True, tag="add_columns"):
    table_id: int
    columns: Columns


class DeleteTable(_Record, frozen=True, tag="delete_table"):
    """The table leaves its name and is called ``name`` from now on."""

    table_id: int
    name: str
    deleted_ns: int
    hard_delete_ns: int | None


class RemoveTable(_Record, frozen=True, tag="remove_table"):
    """Hard deletion: the table is gone for good."""

    table_id: int


class CreateTrigger(_Record, frozen=True, tag="create_trigger"):
    """``spec``, ``arguments`` and ``settings`` mean something to the processing engine only."""

    id: int
    database_id: int
    name: str
    plugin_path: str
    spec: str
    arguments: dict[str, str] | None
    disabled: bool
    settings: dict[str, Any]
    created_ns: int


class SetTriggerDisabled(_Record, frozen=True, tag="set_trigger_disabled"):
    trigger_id: int
    disabled: bool


class DeleteTrigger(_Record, frozen=True, tag="delete_trigger"):
    trigger_id: int


class CreateToken(_Record, frozen=True, tag="create_token"):
    """``hash`` is the hex SHA-512 of the token, which itself is stored nowhere.

    Permissions are texts of the form ``resource:names:actions``; ``*:*:*`` is everything.
    """

    id: int
    name: str
    hash: str
    created_ns: int
    expires_ns: int | None
    permissions: tuple[str, ...]


class SetTokenHash(_Record, frozen=True, tag="set_token_hash"):
    """The token was regenerated: the old one is void."""

    token_id: int
    hash: str
    updated_ns: int


class DeleteToken(_Record, frozen=True, tag="delete_token"):
    token_id: int


Record: TypeAlias = (
    CreateDatabase
    | SetDatabaseRetention
    | DeleteDatabase
    | RemoveDatabase
    | CreateTable
    | AddColumns
    | DeleteTable
    | RemoveTable
    | CreateTrigger
    | SetTriggerDisabled
    | DeleteTrigger
    | CreateToken
    | SetTokenHash
    | DeleteToken
)


class NextIds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The id that the next of each kind gets."""

    database: int = 1
    table: int = 1
    token: int = 1
    trigger: int = 1


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole catalog: its records, and the ids that were ever given out."""

    next: NextIds
    records: tuple[Record, ...]


def encode_record(record: Record) -> dict[str, Any]:
    """The JSON object of ``record``."""
    return {"v": VERSION, **msgspec.to_builtins(record)}


def decode_record(document: Mapping[str, Any]) -> Record:
    """Raises CatalogVersion for another version's record, CatalogDamaged for what is none."""
    try:
        record: Record = msgspec.convert(_versioned(document, "record"), Record)
    except msgspec.ValidationError as error:
        raise CatalogDamaged(f"catalog record that makes no sense: {error}: {document!r:.200}") from None
    return record


def encode_state(following: NextIds, records: Sequence[Record]) -> dict[str, Any]:
    """The JSON object of a whole catalog."""
    return {
        "v": VERSION,
        "next": msgspec.to_builtins(following),
        "records": [encode_record(record) for record in records],
    }


def decode_state(document: Mapping[str, Any]) -> State:
    """Raises as ``decode_record`` does."""
    content = _versioned(document, "state")
    records = content.pop("records", None)
    if not isinstance(records, list):
        raise CatalogDamaged("catalog state without its records")
    try:
        following = msgspec.convert(content.pop("next", None), NextIds)
    except msgspec.ValidationError as error:
        raise CatalogDamaged(f"catalog state whose next ids make no sense: {error}") from None
    if content:
        raise CatalogDamaged(f"catalog state with unknown parts: {', '.join(content)}")
    return State(following, tuple(decode_record(record) for record in records))


def _versioned(document: Mapping[str, Any], what: str) -> dict[str, Any]:
    content = dict(document)
    version = content.pop("v", None)
    if not isinstance(version, int):
        raise CatalogDamaged(f"catalog {what} without a version: {document!r:.200}")
    if version != VERSION:
        raise CatalogVersion(f"catalog {what} of format version {version}: this release reads {VERSION}")
    return content
