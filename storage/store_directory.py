"""The directory of a store: one process at a time may have it, and one in RAM goes when its process does."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Final

from headrace.storage.errors import StorageError, StoreLocked
from headrace.storage.store_settings import ObjectStoreKind, StoreSettings

_LOCK: Final = "lock"
_PRIVATE: Final = "headrace-memory-"


class StoreDirectory:
    """``root`` holds everything; ``node`` is this node's part of it, and is locked."""

    def __init__(self, settings: StoreSettings) -> None:
        """Raises StoreLocked, OSError, StorageError if no directory is given where one is needed."""
        private = settings.object_store is ObjectStoreKind.MEMORY
        if private:
            remove_abandoned()
            self.root = Path(tempfile.mkdtemp(prefix=_PRIVATE, dir=_ram()))
        elif settings.data_dir is None:
            raise StorageError("a store of files needs a data directory")
        else:
            self.root = settings.data_dir.absolute()
        self.prefix = settings.node_id
        """The node's part of every object's path."""
        self.node = self.root / settings.node_id
        self.wal = self.node / "wal"
        self.node.mkdir(parents=True, exist_ok=True)
        lock = _lock((self.root if private else self.node) / _LOCK)
        if lock is None:
            raise StoreLocked(f"{self.node} is in use by another headrace process")
        self._release = weakref.finalize(self, _release, lock, self.root if private else None)

    def close(self) -> None:
        """Release the lock; a private directory is removed. Happens at the end of the process at the latest."""
        self._release()


def remove_abandoned() -> None:
    """Remove private directories of processes that were killed."""
    for directory in _ram().glob(f"{_PRIVATE}*"):
        try:
            lock = _lock(directory / _LOCK, create=False)
        except OSError:
            continue
        if lock is not None:
            _release(lock, directory)


def _ram() -> Path:
    """A directory in RAM where there is one, else the system's temporary directory."""
    shared = Path("/dev/shm")
    return shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())


def _lock(path: Path, *, create: bool = True) -> int | None:
    """A descriptor that holds the lock, or None if somebody else does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _release(lock: int, private: Path | None) -> None:
    if private is not None:
        shutil.rmtree(private, ignore_errors=True)
    os.close(lock)
