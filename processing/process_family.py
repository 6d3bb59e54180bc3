"""A worker's processes as ``/proc`` shows them: who belongs to it, what they hold, and how to end them all.

A process belongs to a worker if it descends from it, is in its session, or carries its mark in the environment
it was started with. Workers adopt the orphans among their descendants (they are subreapers), so a daemon that
forks twice and leaves the session is still found while the worker lives; when the worker has died first, the
mark finds it. Only a process that wipes its environment, leaves the session and loses its worker gets away.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

MARK: Final = "HEADRACE_WORKER"
"""The environment variable that marks a worker's processes; its value is different for every worker."""

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_ZOMBIE: Final = b"Z"
_PATIENCE_S: Final = 2.0
_PAUSE_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Process:
    """One line of ``/proc/PID/stat``, as much of it as matters here."""

    pid: int
    parent: int
    group: int
    session: int
    resident_bytes: int
    """Memory it holds, pages that it shares with others included."""


def processes() -> dict[int, Process]:
    """Every process that is not a zombie, by id."""
    found: dict[int, Process] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            process = _read(int(name))
            if process is not None:
                found[process.pid] = process
    return found


def family(root: int, everybody: Mapping[int, Process], *, mark: str | None = None) -> list[Process]:
    """The process ``root``, if it lives, and all that belong to it; with ``mark`` those that carry it, too."""
    members = {root}
    if mark is not None:
        members.update(pid for pid in everybody if _carries(pid, mark))
    members.update(process.pid for process in everybody.values() if process.session == root)
    children: dict[int, list[int]] = {}
    for process in everybody.values():
        children.setdefault(process.parent, []).append(process.pid)
    queue = list(members)
    while queue:
        for child in children.get(queue.pop(), ()):
            if child not in members:
                members.add(child)
                queue.append(child)
    return [everybody[pid] for pid in sorted(members) if pid in everybody]


def resident_bytes(pid: int) -> int:
    """Memory that one process holds; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            return int(file.read(128).split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def proportional_bytes(members: Iterable[Process]) -> int:
    """Memory that the processes hold together, shared pages counted once; slower, and exact."""
    total = 0
    for process in members:
        try:
            with open(f"/proc/{process.pid}/smaps_rollup", "rb") as file:
                for line in file:
                    if line.startswith(b"Pss:"):
                        total += int(line.split()[1]) * 1024
                        break
        except (OSError, ValueError):
            total += process.resident_bytes
    return total


def kill_family(root: int, mark: str) -> None:
    """Kill ``root`` and everything that belongs to it, and see to it that it is so.

    The process group dies in one step, forks under way included, so that a fork bomb has no chance to get
    ahead; what has left the group is hunted down one by one, for two seconds at most. Environments are read
    only after that: it takes a lock that a process in the middle of a fork holds.
    """
    own_group = os.getpgrp()
    until = time.monotonic() + _PATIENCE_S
    members = family(root, processes())
    _signal_group(root)
    while True:
        for process in members:
            if process.group not in (own_group, root) and process.group > 1:
                _signal_group(process.group)
            _signal(process.pid)
        time.sleep(_PAUSE_S)
        for process in members:
            _reap(process.pid, root)
        members = family(root, processes(), mark=mark)
        if not members or time.monotonic() > until:
            return


def running_tasks() -> int:
    """How many threads and processes the whole machine has: a fork bomb shows here at once, for one small read."""
    try:
        with open("/proc/loadavg", "rb", buffering=0) as file:
            return int(file.read(128).split()[3].split(b"/")[1])
    except (OSError, IndexError, ValueError):
        return 0


def _read(pid: int) -> Process | None:
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        try:
            line = os.read(descriptor, 1024)
        finally:
            os.close(descriptor)
    except OSError:
        return None  # it has ended
    # The name is in parentheses and may hold any character; what follows the last one is numbers.
    fields = line[line.rfind(b")") + 2 :].split()
    if len(fields) < 22 or fields[0] == _ZOMBIE:
        return None
    return Process(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[21]) * _PAGE)


def _carries(pid: int, mark: str) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            return f"{MARK}={mark}\0".encode() in file.read(1 << 20)
    except OSError:
        return False


def _signal(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, or not ours to kill
        os.kill(pid, signal.SIGKILL)


def _signal_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _reap(pid: int, root: int) -> None:
    """Collect an orphan that came to this process, as it does where the server is the container's first one."""
    if pid == root:
        return  # the supervisor waits for the worker itself
    with contextlib.suppress(OSError):  # somebody else's child
        os.waitpid(pid, os.WNOHANG)
