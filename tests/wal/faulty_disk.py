"""A disk that fails on demand, and one that waits at the gate before it syncs."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headrace.wal.disk import Disk


class FaultyDisk(Disk):
    """Set an attribute to make the matching call fail; clear it and the disk is well again."""

    def __init__(self) -> None:
        self.room: int | None = None
        """Bytes that can still be written before the disk is full."""
        self.longest_write: int | None = None
        """No single write takes more bytes than this."""
        self.sync_error: OSError | None = None
        self.truncate_error: OSError | None = None
        self.allocate_error: OSError | None = None
        self.open_error: OSError | None = None
        self.unlink_error: OSError | None = None
        self.syncs = 0

    def write(self, descriptor: int, pieces: Sequence[Any], offset: int) -> int:
        data = b"".join(pieces)
        if self.longest_write is not None:
            data = data[: self.longest_write]
        if self.room is not None:
            if self.room == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[: self.room]
            self.room -= len(data)
        return super().write(descriptor, [data], offset)

    def sync(self, descriptor: int) -> None:
        self._raise(self.sync_error)
        self.syncs += 1
        super().sync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        self._raise(self.truncate_error)
        super().truncate(descriptor, size)

    def allocate(self, descriptor: int, size: int) -> None:
        self._raise(self.allocate_error)
        super().allocate(descriptor, size)

    def open(self, path: Path, *, create: bool) -> int:
        self._raise(self.open_error)
        return super().open(path, create=create)

    def unlink(self, path: Path) -> None:
        self._raise(self.unlink_error)
        super().unlink(path)

    @staticmethod
    def _raise(error: OSError | None) -> None:
        if error is not None:
            raise error


class GatedDisk(Disk):
    """Every sync waits until ``gate`` is set; ``waiting`` tells that one does."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.waiting = threading.Event()
        self.syncs = 0
        self.gate.set()

    def shut(self) -> None:
        self.waiting.clear()
        self.gate.clear()

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        if not self.gate.is_set():
            self.waiting.set()
            assert self.gate.wait(30)
        super().sync(descriptor)
