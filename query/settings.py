"""What can be chosen about the query engine."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_MEBIBYTE = 1 << 20


_CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@cache
def _memory_bytes() -> int:
    """The machine's memory, or what its container may take."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _CONTAINER_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            limits.append(int(path.read_text()))
    return min(limits)


@dataclass(frozen=True, slots=True)
class QuerySettings:
    """Bounds of the query engine. All queries together share the memory and the disk given here."""

    statement_timeout_s: float | None = 300.0
    """How long the engine may work on one statement, in seconds, without the reader's own time. None: for ever."""
    memory_pool_bytes: int = 0
    """Memory for sorting, grouping and joining, of all queries together; 0 takes a quarter of the machine's."""
    memory_limit_bytes: int = 0
    """The process' memory, beyond which running queries are stopped; 0 takes 60 % of the machine's, and at least
    15 % more than the pool."""
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
        return self.memory_pool_bytes or max(256 * _MEBIBYTE, _memory_bytes() // 4)

    @property
    def limit_bytes(self) -> int:
        return self.memory_limit_bytes or max(_memory_bytes() * 3 // 5, self.pool_bytes + _memory_bytes() * 3 // 20)

    @property
    def partitions(self) -> int:
        return self.target_partitions or max(2, os.cpu_count() or 2)
