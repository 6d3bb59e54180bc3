"""What the HTTP layer works with: the layers below, and the threads that call them.

Everything below blocks, so the event loop calls it through one of three pools. They are separate so that
slow plugins never delay writes and slow queries never delay either.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from headrace.api.metrics import ServerMetrics
from headrace.api.settings import ServerSettings
from headrace.processing.engine import ProcessingEngine
from headrace.query.engine import QueryEngine
from headrace.storage.store import Store

Result = TypeVar("Result")

_PLUGIN_THREADS: Final = 64
"""Requests that can be with request triggers at a time; each waits for its plugin on a thread."""


@dataclass(frozen=True, slots=True)
class Pools:
    """Threads for blocking work. More work than threads waits; what may wait is bounded by the bodies' budget."""

    ingest: ThreadPoolExecutor
    """Parsing, inflating, handing over to the log."""
    queries: ThreadPoolExecutor
    """Planning queries and producing the next piece of their answers."""
    plugins: ThreadPoolExecutor
    """Requests to plugins, test runs, package installation."""

    @classmethod
    def start(cls, settings: ServerSettings) -> Pools:
        processors = os.cpu_count() or 2
        return cls(
            ThreadPoolExecutor(max(2, processors), thread_name_prefix="headrace-ingest"),
            ThreadPoolExecutor(settings.max_concurrent_queries, thread_name_prefix="headrace-query"),
            ThreadPoolExecutor(_PLUGIN_THREADS, thread_name_prefix="headrace-plugin"),
        )

    def stop(self) -> None:
        for pool in (self.ingest, self.queries, self.plugins):
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Services:
    """One server's parts, all of them running."""

    settings: ServerSettings
    store: Store
    queries: QueryEngine
    engine: ProcessingEngine
    metrics: ServerMetrics
    pools: Pools = field(repr=False)


async def run_in(pool: Executor, call: Callable[[], Result]) -> Result:
    """The result of ``call``, made on a thread of ``pool``."""
    return await asyncio.get_running_loop().run_in_executor(pool, call)
