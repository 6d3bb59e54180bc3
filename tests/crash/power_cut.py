"""A disk that remembers what has been synced, so that a power cut at any moment can be played out.

Between two syncs a real disk may have written any of the sectors it was given, in any order, and the
file system may have kept any of the directory's changes. ``CutDisk`` writes a journal of every call;
``PowerCut`` makes a directory as it could be found after a cut behind any entry of that journal.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.wal.disk import Disk

SECTOR = 512


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the disk, or an event of the test, in the order in which they happened."""

    kind: str
    name: str = ""
    number: int = 0
    """Offset, size, or whatever the event counts."""
    data: bytes = b""


class CutDisk(Disk):
    """The real files without waiting for a real disk, and a journal. Fails a write now and then if asked to."""

    def __init__(self, chance: random.Random, full: float = 0.0) -> None:
        self.journal: list[Call] = []
        self._chance = chance
        self._full = full
        self._refuse_next = False
        self._names: dict[int, str] = {}

    def note(self, kind: str, number: int) -> None:
        """An event of the test's own."""
        self.journal.append(Call(kind, number=number))

    def open(self, path: Path, *, create: bool) -> int:
        descriptor = super().open(path, create=create)
        self._names[descriptor] = path.name
        if create:
            self.journal.append(Call("create", path.name))
        return descriptor

    def write(self, descriptor: int, pieces: Sequence[Any], offset: int) -> int:
        if self._refuse_next:
            self._refuse_next = False
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        data = b"".join(pieces)
        if self._chance.random() < self._full:
            self._refuse_next = True
            data = data[: self._chance.randrange(1, len(data) + 1)]
            if len(data) == sum(map(len, pieces)):
                self._refuse_next = False
        self.journal.append(Call("write", self._names[descriptor], offset, data))
        return super().write(descriptor, [data], offset)

    def sync(self, descriptor: int) -> None:
        self.journal.append(Call("sync", self._names[descriptor]))

    def truncate(self, descriptor: int, size: int) -> None:
        self.journal.append(Call("truncate", self._names[descriptor], size))
        super().truncate(descriptor, size)

    def allocate(self, descriptor: int, size: int) -> None:
        self.journal.append(Call("allocate", self._names[descriptor], size))
        super().allocate(descriptor, size)

    def sync_directory(self, directory: Path) -> None:
        self.journal.append(Call("sync directory"))

    def unlink(self, path: Path) -> None:
        self.journal.append(Call("unlink", path.name))
        super().unlink(path)


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Call] = field(default_factory=list)


class PowerCut:
    """What may be left of ``directory``'s files when the power goes behind the last call of ``journal``.

    ``before`` holds the files as they were when the journal began, all of it durable.
    """

    def __init__(self, before: dict[str, bytes], journal: Sequence[Call]) -> None:
        self._files = {name: _File(bytearray(data)) for name, data in before.items()}
        self._names = set(before)
        self._changes: list[Call] = []
        for call in journal:
            self._take(call)

    def _take(self, call: Call) -> None:
        if call.kind == "create":
            self._files[call.name] = _File()
            self._changes.append(call)
        elif call.kind == "unlink":
            self._changes.append(call)
        elif call.kind in ("write", "truncate", "allocate"):
            self._files[call.name].pending.append(call)
        elif call.kind == "sync":
            file = self._files[call.name]
            for pending in file.pending:
                _apply(file.durable, pending)
            file.pending.clear()
        elif call.kind == "sync directory":
            self._names = _renamed(self._names, self._changes)
            self._changes.clear()

    def leave(self, directory: Path, chance: random.Random) -> None:
        """Write one of the possible outcomes into ``directory``."""
        directory.mkdir()
        kept = [change for change in self._changes if chance.random() < 0.5]
        for name in _renamed(self._names, kept):
            file = self._files[name]
            content = bytearray(file.durable)
            for call in _survivors(file.pending, chance):
                _apply(content, call)
            (directory / name).write_bytes(content)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("*.wal")}


def _renamed(names: set[str], changes: Sequence[Call]) -> set[str]:
    names = set(names)
    for change in changes:
        if change.kind == "create":
            names.add(change.name)
        else:
            names.discard(change.name)
    return names


def _survivors(pending: Sequence[Call], chance: random.Random) -> Iterator[Call]:
    """The parts of unsynced calls that reached the disk: none, all, the first ones, or sectors here and there."""
    mode = chance.choice(["none", "all", "first", "sectors", "sectors"])
    if mode == "none":
        return
    limit = chance.randrange(len(pending) + 1) if mode == "first" else len(pending)
    for call in pending[:limit]:
        if mode != "sectors":
            yield call
        elif call.kind == "write":
            yield from (part for part in _sectors(call) if chance.random() < 0.6)
        elif chance.random() < 0.6:
            yield call


def _sectors(call: Call) -> Iterator[Call]:
    start, end = call.number, call.number + len(call.data)
    while start < end:
        stop = min(end, start - start % SECTOR + SECTOR)
        yield Call("write", call.name, start, call.data[start - call.number : stop - call.number])
        start = stop


def _apply(content: bytearray, call: Call) -> None:
    if call.kind == "truncate":
        del content[call.number :]
        content.extend(bytes(call.number - len(content)))
    elif call.kind == "allocate":
        content.extend(bytes(max(0, call.number - len(content))))
    else:
        content.extend(bytes(max(0, call.number + len(call.data) - len(content))))
        content[call.number : call.number + len(call.data)] = call.data
