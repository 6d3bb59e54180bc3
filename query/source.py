"""What the query engine asks of the storage below it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from headrace.storage.catalog import Catalog
from headrace.storage.snapshot import DatabaseSnapshot


class SnapshotSource(Protocol):
    """The part of :class:`headrace.storage.store.Store` that queries need."""

    @property
    def data_root(self) -> Path:
        """The directory that the paths of data files are relative to."""

    @property
    def catalog(self) -> Catalog:
        """What databases, tables and tokens there are: for system tables, never for a query's own tables."""

    def snapshot(self, database: str) -> DatabaseSnapshot:
        """All tables of a database at one instant. Raises DatabaseNotFound."""
