"""The thread that watches over all workers: their time, their memory, their number, and what they print.

The thread of a run may be waiting in a query or for the disk; limits hold all the same because they are enforced
here. A look at a worker costs some ten microseconds and comes 40 times a second while plugins run; the whole
process table is read ten times a second, and at once when the machine's number of tasks jumps.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from headrace.processing import process_family
from headrace.processing.errors import MemoryLimitExceeded, ProcessLimitExceeded, RunFailed
from headrace.processing.process_family import Process
from headrace.processing.worker_process import PIPE_BYTES, WorkerProcess

logger = logging.getLogger(__name__)

_FLOOD_PAUSE_S: Final = 0.005
"""Between two readings of a pipe whose worker prints more than is kept: some 100 MB/s."""
_BUSY_S: Final = 0.025
_CALM_S: Final = 0.1
_TABLE_S: Final = 0.1
_IDLE_TABLE_S: Final = 2.0
_TABLE_SHARE: Final = 50
"""The process table is read so seldom that it takes no more than one part in this many of the time."""
_WEIGHING_S: Final = 1.0
_TASK_JUMP: Final = 32
_CHUNK: Final = PIPE_BYTES
_CHUNKS_IN_A_PIPE: Final = 2
"""Enough for whatever a pipe may hold; no more, should something that got away write on and on."""
_MIB: Final = 1 << 20


class _Weighing:
    """Finds out what processes hold together, on a thread of its own.

    For the exact figure the kernel takes a lock of each process, which a process that forks or starves may keep
    for seconds; the watcher has to go on counting meanwhile.
    """

    def __init__(self, members: Sequence[Process]) -> None:
        self.result: int | None = None
        self._since = time.monotonic()
        threading.Thread(target=self._weigh, args=(members,), name="headrace-worker-weigh", daemon=True).start()

    def is_overdue(self) -> bool:
        """Whether it takes too long to wait any longer."""
        return time.monotonic() - self._since > _WEIGHING_S

    def _weigh(self, members: Sequence[Process]) -> None:
        self.result = process_family.proportional_bytes(members)


class Watcher:
    """Started with the first worker; its thread ends when the last one has gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: dict[int, WorkerProcess] = {}
        self._selector = selectors.DefaultSelector()
        self._thread: threading.Thread | None = None
        self._table_at = 0.0
        self._table_took = 0.0
        self._weighings: dict[int, _Weighing] = {}
        self._tasks = 0

    def add(self, process: WorkerProcess) -> None:
        """Watch a worker from now on; its output pipes are read and, at the end, closed here."""
        with self._lock:
            self._processes[process.pid] = process
            for stream, descriptor in enumerate(process.output_fds):
                self._selector.register(descriptor, selectors.EVENT_READ, (process, stream))
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="headrace-worker-watch", daemon=True)
                self._thread.start()

    def remove(self, process: WorkerProcess) -> None:
        """The worker has ended; what is left in its pipes is taken in first."""
        with self._lock:
            if self._processes.pop(process.pid, None) is None:
                return
            self._weighings.pop(process.pid, None)
            for stream, descriptor in enumerate(process.output_fds):
                for _ in range(_CHUNKS_IN_A_PIPE):
                    if not self._read(process, stream, descriptor):
                        break
                process.printed.feed(stream, b"")
                self._forget(descriptor)
                os.close(descriptor)

    def _watch(self) -> None:
        while True:
            with self._lock:
                if not self._processes:
                    self._thread = None
                    return
                busy = any(process.active for process in self._processes.values())
            try:
                self._take_output(_BUSY_S if busy else _CALM_S)
                self._look()
            except Exception:
                logger.exception("the watcher of the plugin workers failed; it goes on")
                time.sleep(_CALM_S)

    def _take_output(self, seconds: float) -> None:
        """Read what workers print until it is time for the next look."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            ready = self._selector.select(left)
            with self._lock:
                for key, _ in ready:
                    process, stream = key.data
                    if process.pid in self._processes and self._read(process, stream, key.fd) == b"":
                        self._forget(key.fd)
                flooded = any(key.data[0].printed.is_full for key, _ in ready)
            if flooded:
                # Nothing of it is kept any more: there is no hurry, and whoever prints may wait.
                time.sleep(min(_FLOOD_PAUSE_S, max(0.0, until - time.monotonic())))

    def _read(self, process: WorkerProcess, stream: int, descriptor: int) -> bytes | None:
        """Take one chunk; ``b""`` at the end of the stream, None when there is nothing now."""
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return None
        process.printed.feed(stream, data)
        return data

    def _forget(self, descriptor: int) -> None:
        with contextlib.suppress(KeyError):  # its end was reached before
            self._selector.unregister(descriptor)

    def _look(self) -> None:
        with self._lock:
            watched = list(self._processes.values())
        now = time.monotonic()
        active = [process for process in watched if process.active]
        suspicion = False
        for process in active:
            self._check_time(process, now)
            held = process_family.resident_bytes(process.pid)
            process.saw_memory(held)
            suspicion |= held > process.limits.memory_bytes
        tasks = process_family.running_tasks() if active else self._tasks
        pause = max(_TABLE_S if active else _IDLE_TABLE_S, self._table_took * _TABLE_SHARE)
        if suspicion or tasks > self._tasks + _TASK_JUMP or now >= self._table_at + pause:
            everybody = process_family.processes()
            for process in watched:
                self._check_family(process, everybody)
            self._table_at = time.monotonic()
            self._table_took = self._table_at - now
            self._tasks = tasks
        self._tasks = min(self._tasks, tasks)

    @staticmethod
    def _check_time(process: WorkerProcess, now: float) -> None:
        if process.kill_due is not None:
            if now >= process.kill_due:
                process.kill()
        elif process.deadline is not None and now >= process.deadline:
            process.stop_run(process.overdue, at_once=False)

    def _check_family(self, process: WorkerProcess, everybody: Mapping[int, Process]) -> None:
        limits = process.limits
        members = process_family.family(process.pid, everybody)
        # The number comes first: while a fork bomb grows there is no time for anything else.
        if len(members) > limits.processes:
            self._kill(
                process,
                ProcessLimitExceeded(
                    f"the plugin ran {len(members)} processes at once, more than the {limits.processes} allowed; "
                    "they were killed"
                ),
            )
            return
        held = sum(member.resident_bytes for member in members)
        if held > limits.memory_bytes and len(members) > 1:
            held = self._weigh(process.pid, members, held)
        process.saw_memory(held)
        if held > limits.memory_bytes:
            self._kill(
                process,
                MemoryLimitExceeded(
                    f"the plugin's processes held {held // _MIB} MiB of memory, more than the "
                    f"{limits.memory_bytes // _MIB} MiB allowed, and were killed"
                ),
            )

    def _weigh(self, pid: int, members: Sequence[Process], at_most: int) -> int:
        """What the members hold together, shared pages counted once; until that is known, what one holds at least."""
        weighing = self._weighings.get(pid)
        if weighing is None:
            self._weighings[pid] = _Weighing(members)
        elif weighing.result is not None or weighing.is_overdue():
            del self._weighings[pid]
            return at_most if weighing.result is None else weighing.result
        return max(member.resident_bytes for member in members)

    @staticmethod
    def _kill(process: WorkerProcess, reason: RunFailed) -> None:
        if not process.active:
            logger.warning("between two runs %s", reason)
        process.stop_run(reason, at_once=True)


_shared = Watcher()


def shared_watcher() -> Watcher:
    """The one watcher of this server process."""
    return _shared
