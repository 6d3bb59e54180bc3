"""The bounded queue between the threads that submit and the one thread that writes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType

from headrace.wal.entry import Entry
from headrace.wal.errors import WalFull
from headrace.wal.frame import Payload


@dataclass(frozen=True, slots=True)
class Submission:
    """One frame to be: its bytes, the values they stand for, and who waits."""

    payload: Payload
    entries: tuple[Entry, ...]
    sync: bool
    future: Future[int] = field(default_factory=Future)


class Reservation:
    """Room held for one submission of about ``size`` bytes, so that ``submit`` will not wait.

    A context manager: room that was not used is given back at its end.
    """

    __slots__ = ("_queue", "_size")

    def __init__(self, queue: CommitQueue, size: int) -> None:
        self._queue = queue
        self._size: int | None = size

    def release(self) -> None:
        if (size := self.take()) is not None:
            self._queue.release(1, size)

    def take(self) -> int | None:
        """Hand the room over to a submission; None if that has happened already."""
        size, self._size = self._size, None
        return size

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


class CommitQueue:
    """First in, first out, bounded by bytes and by count.

    What was taken out still counts until ``release``: the bound is on the memory of everything
    submitted and not yet durable. A submission larger than the bound waits for an empty queue.
    """

    def __init__(self, max_bytes: int, max_count: int) -> None:
        self._max_bytes = max_bytes
        self._max_count = max_count
        self._items: deque[Submission] = deque()
        self._bytes = 0
        self._count = 0
        self._refusal: Callable[[], Exception] | None = None
        self._lock = threading.Lock()
        self._not_empty = threading.Condition(self._lock)
        self._not_full = threading.Condition(self._lock)

    def reserve(self, size: int, timeout: float) -> Reservation:
        """Wait for room. Raises WalFull after ``timeout`` seconds, or what ``refuse`` was given."""
        with self._lock:
            self._wait_for_room(size, timeout)
            self._count += 1
            self._bytes += size
        return Reservation(self, size)

    def put(self, item: Submission, timeout: float, reservation: Reservation | None) -> None:
        """Append ``item``, waiting for room unless some is reserved. Raises as ``reserve`` does."""
        size = item.payload.frame_size
        held = reservation.take() if reservation is not None else None
        with self._lock:
            if held is None:
                self._wait_for_room(size, timeout)
                self._count += 1
                self._bytes += size
            else:
                self._bytes += size - held
                if self._refusal is not None:
                    self._bytes -= size
                    self._count -= 1
                    raise self._refusal()
            self._items.append(item)
            self._not_empty.notify()

    def take(self, max_bytes: int, max_count: int) -> list[Submission]:
        """The next group, at least one item; empty once the queue refuses and is drained."""
        with self._lock:
            while not self._items:
                if self._refusal is not None:
                    return []
                self._not_empty.wait()
            group = [self._items.popleft()]
            size = group[0].payload.frame_size
            while self._items and len(group) < max_count:
                size += self._items[0].payload.frame_size
                if size > max_bytes:
                    break
                group.append(self._items.popleft())
            return group

    def release(self, count: int, size: int) -> None:
        """The room of ``count`` submissions of together ``size`` bytes is free again."""
        with self._lock:
            self._count -= count
            self._bytes -= size
            self._not_full.notify_all()

    def refuse(self, error: Callable[[], Exception]) -> None:
        """From now on every submission raises ``error()``; what is queued stays queued."""
        with self._lock:
            self._refusal = self._refusal or error
            self._not_empty.notify_all()
            self._not_full.notify_all()

    def _wait_for_room(self, size: int, timeout: float) -> None:
        deadline: float | None = None
        while True:
            if self._refusal is not None:
                raise self._refusal()
            if self._count == 0 or (self._count < self._max_count and self._bytes + size <= self._max_bytes):
                return
            now = time.monotonic()
            deadline = now + timeout if deadline is None else deadline
            if now >= deadline:
                raise WalFull(
                    f"the write-ahead log is behind: {self._count} writes of {self._bytes} bytes wait to be synced; "
                    "retry later"
                )
            self._not_full.wait(deadline - now)
