"""What can be chosen about the query engine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_MEBIBYTE = 1 << 20


def _quarter_of_memory() -> int:
    return max(256 * _MEBIBYTE, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4)


@dataclass(frozen=True, slots=True)
class QuerySettings:
    """Bounds of the query engine. All queries together share the memory and the disk given here."""

    statement_timeout_s: float | None = 300.0
    """How long the engine may work on one statement, in seconds, without the reader's own time. None: for ever."""
    memory_pool_bytes: int = 0
    """Memory for sorting, grouping and joining, of all queries together; 0 takes a quarter of the machine's."""
    file_cache_bytes: int = 64 * _MEBIBYTE
    """Memory for small data files that are read often; 0 reads them from disk each time."""
    spill_directory: Path | None = None
    """Where a query that outgrows its memory puts the rest; None takes the system's directory for temporary files."""
    target_partitions: int = 0
    """How many threads one query may use; 0 takes the number of cores."""
    concurrent_queries: int = 64
    """How many results may be open at once; more wait for ``queue_timeout_s`` and are then refused."""
    queue_timeout_s: float = 10.0
    """How long a query waits for its turn, in seconds."""
    statement_bytes: int = _MEBIBYTE
    """The longest statement."""
    logged_queries: int = 1_000
    """How many of the last queries ``system.queries`` shows."""

    @property
    def pool_bytes(self) -> int:
        return self.memory_pool_bytes or _quarter_of_memory()

    @property
    def partitions(self) -> int:
        return self.target_partitions or max(2, os.cpu_count() or 2)
