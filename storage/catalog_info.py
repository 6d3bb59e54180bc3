"""What the catalog knows about each thing in it: immutable values, replaced as a whole when something changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.wal.schema import TableSchema

ADMIN_PERMISSION: Final = "*:*:*"


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table. ``schema.name`` and ``name`` are the same; a deleted table's is ``name-YYYYMMDDTHHMMSS``."""

    id: int
    database_id: int
    schema: TableSchema
    deleted_ns: int | None = None
    hard_delete_ns: int | None = None
    """When its files may be removed; None keeps them until someone says otherwise."""

    @property
    def name(self) -> str:
        return self.schema.name

    @property
    def deleted(self) -> bool:
        return self.deleted_ns is not None


@dataclass(frozen=True, slots=True)
class TriggerDefinition:
    """A trigger as it was asked for. ``spec``, ``arguments`` and ``settings`` are opaque to the catalog."""

    id: int
    name: str
    database: str
    plugin_path: str
    spec: str
    arguments: Mapping[str, str] | None
    disabled: bool
    settings: Mapping[str, Any]
    created_ns: int


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """A database with its live tables and its triggers by name."""

    id: int
    name: str
    created_ns: int
    retention_ns: int | None = None
    deleted_ns: int | None = None
    hard_delete_ns: int | None = None
    tables: Mapping[str, TableInfo] = field(default_factory=dict)
    triggers: Mapping[str, TriggerDefinition] = field(default_factory=dict)
    deleted_tables: Mapping[int, TableInfo] = field(default_factory=dict)
    """Soft-deleted tables by id: two of them may have left the same name in the same second."""

    @property
    def deleted(self) -> bool:
        return self.deleted_ns is not None


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token, as far as it is known: ``hash`` is the hex SHA-512, the token itself is stored nowhere."""

    id: int
    name: str
    hash: str
    created_ns: int
    expires_ns: int | None = None
    permissions: tuple[str, ...] = (ADMIN_PERMISSION,)
    updated_ns: int | None = None

    def expired(self, now_ns: int) -> bool:
        return self.expires_ns is not None and self.expires_ns <= now_ns

    @property
    def is_admin(self) -> bool:
        return ADMIN_PERMISSION in self.permissions
