"""What can be chosen about a store."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.wal.writer import WalSettings

if TYPE_CHECKING:
    from headrace.storage.limits import CatalogLimits

MINUTE_NS = 60 * 10**9


class ObjectStoreKind(StrEnum):
    """Where files are kept."""

    FILE = "file"
    """In ``data_dir``."""
    MEMORY = "memory"
    """In a private directory in RAM that is removed on exit: nothing survives the process."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Sizes are in bytes; times in seconds unless the name ends in ``_ns``."""

    data_dir: Path | None = None
    """The directory of the database; needed unless ``object_store`` is memory."""
    node_id: str = "node0"
    """The folder inside ``data_dir`` that is this node's own."""
    object_store: ObjectStoreKind = ObjectStoreKind.FILE
    wal: WalSettings = field(default_factory=WalSettings)
    limits: CatalogLimits | None = None
    """None: the catalog's defaults."""

    gen1_ns: int = 10 * MINUTE_NS
    """Persisted rows are cut into files by this width of time, from the epoch on."""
    max_files_per_persist: int = 32
    """A table whose rows of one persist would need more files gets wider ones where its rows are sparse."""

    persist_wal_bytes: int = 256 << 20
    """Persist when the frames that are not yet in files reach this."""
    persist_buffer_bytes: int = 256 << 20
    """Persist when the rows in memory reach this."""
    persist_age: float = 600.0
    """Persist when the oldest row in memory has been there for this long."""
    buffer_limit_bytes: int = 512 << 20
    """Rows are refused (503) while those in memory, the ones being persisted included, exceed this."""
    buffer_wait: float = 10.0
    """How long a write waits for room below ``buffer_limit_bytes`` before it is refused."""
    disk_reserve_bytes: int | None = None
    """Rows are refused (503) while less is free on the disk. None: 256 MB, or 5 % of the disk if that is less."""
    retry_pause: float = 5.0
    """After a failed persist or compaction, time until the next attempt."""

    wal_retention_bytes: int = 4 << 30
    """Frames already in files are kept for triggers that have not read them, up to this."""
    delete_grace: float = 30.0
    """A file that is no longer live is deleted this long after the last snapshot that had it is gone."""
    compaction_interval: float = 60.0
    """How often files that can be put together are looked for."""
    retention_interval: float = 60.0
    """How often expired files and the files of deleted tables are looked for."""
