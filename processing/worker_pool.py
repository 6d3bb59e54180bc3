"""The workers of one trigger: one, or several where runs may overlap."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from headrace.processing.run import WorkerServices, WorkerSpec
from headrace.processing.supervisor import Worker


class WorkerPool:
    """At most ``size`` workers, started when they are first needed and kept warm between runs.

    ``make_spec`` is called when the first worker is made, not before: it may have to fetch the plugin, and an
    error it raises belongs to the run that needed it.
    """

    def __init__(self, make_spec: Callable[[], WorkerSpec], services: WorkerServices, size: int) -> None:
        self.size = size
        """How many runs may be under way at once."""
        self._make_spec = make_spec
        self._services = services
        self._free = threading.Semaphore(size)
        self._lock = threading.Lock()
        self._spec: WorkerSpec | None = None
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._stopped = False

    @contextmanager
    def worker(self) -> Iterator[Worker]:
        """A worker nobody else uses meanwhile; waits until one is free."""
        with self._free:
            with self._lock:
                if self._spec is None:
                    self._spec = self._make_spec()
                worker = self._idle.pop() if self._idle else Worker(self._spec, self._services)
                self._busy.add(worker)
                if self._stopped:
                    worker.cancel()
            try:
                yield worker
            finally:
                with self._lock:
                    self._busy.discard(worker)
                    keep = not self._stopped
                    if keep:
                        self._idle.append(worker)
                if not keep:
                    worker.stop()

    def stop(self) -> None:
        """Cancel the runs under way and end all processes; runs that begin later are cancelled at once."""
        with self._lock:
            self._stopped = True
            idle, self._idle = self._idle, []
            busy = list(self._busy)
        for worker in busy:
            worker.cancel()
        for worker in idle:
            worker.stop()
