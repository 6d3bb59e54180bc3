"""Stops queries when the process grows beyond its bound.

The engine's memory pool accounts for sorting, grouping and joining, not for the values in between, nor for a
result on its way out. So while queries run, the process' memory is looked at twenty times a second. Growth is
put down to the queries that are open at that time in equal parts; beyond the bound the query with most of it is
stopped. A query that takes much is open while it does, so others seldom have more.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from headrace.query.errors import MemoryExhausted
from headrace.wal.errors import HeadraceError

_INTERVAL_S: Final = 0.05
_LEAST_GROWTH: Final = 32 << 20
"""Who grew less is not stopped: the memory is someone else's, such as the buffer of written rows."""
_PATIENCE: Final = 8
"""Looks until another query is stopped, unless memory grows on: giving it back takes a moment."""
_STATM: Final = Path("/proc/self/statm")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def private_bytes() -> int | None:
    """The resident memory of this process without files mapped into it; None where the system does not tell."""
    try:
        _, resident, shared, *_ = _STATM.read_bytes().split()
    except OSError:
        return None
    return (int(resident) - int(shared)) * _PAGE


class Watched(Protocol):
    """A running query."""

    growth: float
    """Bytes that it is held to have taken."""

    def stop(self, error: HeadraceError) -> None: ...


class MemoryWatch:
    """Looks only while queries run. Used from the thread of an event loop alone."""

    def __init__(self, limit_bytes: int, measure: Callable[[], int | None] = private_bytes) -> None:
        self._settled_limit = limit_bytes
        self._limit = limit_bytes
        self._measure = measure
        self._queries: set[Watched] = set()
        self._last: int | None = None
        self._looking = False
        self._patience = 0
        self._stopped_at = 0

    def add(self, query: Watched) -> None:
        self._queries.add(query)
        if not self._looking:
            self._looking = True
            self._last = None
            asyncio.get_running_loop().call_later(_INTERVAL_S, self._look)

    def _limit_above(self, idle: int) -> int:
        """The bound, with room above what was taken before the first query: the engine's allocator gives memory of
        past queries back late, and new ones must not be stopped for it. At most a quarter more."""
        limit = self._settled_limit
        return min(limit + limit // 4, max(limit, idle + limit // 8))

    def discard(self, query: Watched) -> None:
        self._queries.discard(query)

    def _look(self) -> None:
        now = self._measure() if self._queries else None
        if now is None:
            self._looking = False
            return
        asyncio.get_running_loop().call_later(_INTERVAL_S, self._look)
        if self._last is None:
            self._last = now
            self._limit = self._limit_above(now)
        grown = max(0, now - self._last)
        self._last = now
        for query in self._queries:
            query.growth += grown / len(self._queries)
        if now <= self._limit:
            return
        if self._patience > 0 and now <= self._stopped_at:
            self._patience -= 1
            return
        largest = max(self._queries, key=lambda query: query.growth)
        if largest.growth >= _LEAST_GROWTH:
            self.discard(largest)
            self._patience, self._stopped_at = _PATIENCE, now
            largest.stop(
                MemoryExhausted(
                    f"the query was stopped because the server's memory passed {self._limit >> 20} MiB: let it make "
                    "fewer or smaller values at once"
                )
            )
