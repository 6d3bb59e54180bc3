"""The bound on what rows in memory may take, and waiting for room below it."""

from __future__ import annotations

import threading
import time

from headrace.storage.errors import BufferFull


class MemoryBudget:
    """A count of bytes that many threads change. Going over the limit is possible: writes are stopped at the door."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._used = 0
        self._changed = threading.Condition()

    @property
    def used(self) -> int:
        return self._used

    def add(self, change: int) -> None:
        with self._changed:
            self._used += change
            if change < 0:
                self._changed.notify_all()

    def wait_for_room(self, timeout: float, reason: str | None = None) -> None:
        """Return once less than the limit is used. Raises BufferFull, naming ``reason``, after ``timeout`` seconds."""
        if self._used < self.limit:
            return
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._used >= self.limit:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise BufferFull(
                        f"{self._used >> 20} MB of rows wait to be written to files, the limit is {self.limit >> 20} MB"
                        f"{f' ({reason})' if reason else ''}; retry later"
                    )
                self._changed.wait(remaining)
