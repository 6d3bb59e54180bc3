"""The object store: whole objects under paths, written once, durable when ``put`` returns.

Access goes through obstore, whose LocalStore writes an object under a temporary name and then
renames (``put``) or links (``put_new``) it, so that no half-written object is ever seen. It does not
sync; for a local directory that is done here.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import obstore
from headrace.storage.errors import ManifestConflict
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

# More objects than this are synced all at once: 3,000 small ones, of as many tables, took 24 s one by one.
_SYNC_ONE_BY_ONE: Final = 64


class Objects:
    """A directory of objects. Paths are relative, with ``/`` between their parts. Failures raise OSError."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self._store = LocalStore(root)
        self._known_directories: set[Path] = set()
        # Directories that deletion leaves empty go, but not from under an object on its way in.
        self._lock = threading.Lock()

    def put(self, path: str, data: bytes | memoryview) -> None:
        """Store an object, in place of an older one if need be."""
        self._put(path, data, new=False)
        self.sync([path])

    def put_unsynced(self, path: str, data: bytes | memoryview) -> None:
        """As ``put``, but durable only after ``sync``."""
        self._put(path, data, new=False)

    def put_new(self, path: str, data: bytes | memoryview) -> None:
        """Store an object unless there is one at ``path`` already: then ManifestConflict."""
        self._put(path, data, new=True)
        self.sync([path])

    def _put(self, path: str, data: bytes | memoryview, *, new: bool) -> None:
        target = self.root / path
        with self._lock:
            self._make_directory(target.parent)
            self._store_object(path, data, target, new=new)

    def _store_object(self, path: str, data: bytes | memoryview, target: Path, *, new: bool) -> None:
        try:
            obstore.put(self._store, path, data, mode="create" if new else "overwrite", use_multipart=False)
        except AlreadyExistsError as error:
            raise ManifestConflict(f"{target} exists already: another process writes to the same place") from error
        except BaseError as error:
            raise OSError(f"{target} cannot be written: {_reason(error)}") from error

    def _make_directory(self, directory: Path) -> None:
        """Make a directory that is still there after a power cut."""
        if directory in self._known_directories:
            return
        missing = []
        each = directory
        while not each.is_dir():
            missing.append(each)
            each = each.parent
        directory.mkdir(parents=True, exist_ok=True)
        for made in missing:
            _sync(made.parent)
        self._known_directories.add(directory)

    def sync(self, paths: Sequence[str]) -> None:
        """Objects that were put are durable when this returns."""
        if len(paths) > _SYNC_ONE_BY_ONE and _sync_file_system(self.root):
            return
        targets = [self.root / path for path in paths]
        for each in [*targets, *{target.parent: None for target in targets}]:
            _sync(each)

    def get(self, path: str) -> bytes:
        """An object's bytes. Raises FileNotFoundError."""
        try:
            return bytes(obstore.get(self._store, path).bytes())
        except FileNotFoundError:
            raise
        except BaseError as error:
            raise OSError(f"{self.root / path} cannot be read: {_reason(error)}") from error

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Paths and sizes of all objects below ``prefix``."""
        for page in obstore.list(self._store, prefix):
            for meta in page:
                yield meta["path"], meta["size"]

    def delete(self, path: str) -> None:
        """Remove an object if it is there, and the directories that this leaves empty."""
        target = self.root / path
        with self._lock:
            target.unlink(missing_ok=True)
            for directory in target.parents:
                if directory == self.root:
                    break
                try:
                    directory.rmdir()
                except OSError:
                    break
                self._known_directories.discard(directory)

    def remove_unfinished(self, prefix: str) -> int:
        """Delete the temporary files that a killed process left below ``prefix``; gives their number."""
        found = 0
        for directory, _, names in os.walk(self.root / prefix):
            for name in names:
                stem, _, number = name.rpartition("#")
                if stem and number.isdigit():
                    (Path(directory) / name).unlink(missing_ok=True)
                    found += 1
        return found


class Draft:
    """Objects that are put for something that may yet fail, and can be taken back."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._paths: list[str] = []

    def put(self, path: str, data: bytes | memoryview) -> None:
        """As ``Objects.put_unsynced``."""
        self._paths.append(path)
        self._objects.put_unsynced(path, data)

    def sync(self) -> None:
        """What was put is durable when this returns."""
        self._objects.sync(self._paths)

    def discard(self) -> None:
        """Delete what was put. What cannot be deleted is left to the next start."""
        for path in self._paths:
            with contextlib.suppress(OSError):
                self._objects.delete(path)


def _reason(error: BaseError) -> str:
    """What obstore says is wrong, without the dump of its own structures that follows."""
    return str(error).partition("\n")[0]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_file_system(root: Path) -> bool:
    """Sync everything on the file system of ``root``; False where that cannot be done."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        return False
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if syncfs(descriptor):
            raise OSError(ctypes.get_errno(), "the file system cannot be synced", str(root))
    finally:
        os.close(descriptor)
    return True
