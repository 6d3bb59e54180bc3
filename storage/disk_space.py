"""Room on the disk that rows in the log have to leave.

Rows are in the log first; a persist writes them to files, and only then can the log be trimmed. A log that
filled the disk to its last byte would leave no room for the persist that frees it. So writes are refused while
less than a reserve is free.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.storage.errors import DiskFull

logger = logging.getLogger(__name__)

_LARGEST_DEFAULT: Final = 256 << 20
"""About what the log has when a persist begins, and more than its files will take."""
_DEFAULT_SHARE: Final = 0.05
_INTERVAL: Final = 1.0
"""Seconds between looks at the disk."""
_LOOKS_A_RESERVE: Final = 8
"""Another look whenever this fraction of the reserve has been written: nobody fills the disk between two."""


@dataclass(frozen=True, slots=True)
class Space:
    """A file system, in bytes: its size, and what of it this process may still write."""

    size: int
    free: int


def measure(directory: Path) -> Space:
    """The file system that ``directory`` is on. Raises OSError."""
    found = os.statvfs(directory)
    return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


class DiskSpace:
    """Watches the file system of ``directory``. All methods may be called from any thread.

    ``reserve`` is in bytes; None for 256 MB, or 5 % of the file system if that is less.
    """

    def __init__(
        self,
        directory: Path,
        reserve: int | None,
        *,
        measure: Callable[[Path], Space] = measure,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._reserve = reserve
        self._measure = measure
        self._clock = clock
        self._shortage: str | None = None
        # Without a lock: threads that count at once lose some bytes of the count, and look a little later.
        self._unseen = 0
        self._next_look = 0.0
        self._look_after = 0

    def admit(self, size: int) -> None:
        """Let ``size`` bytes of rows pass. Raises DiskFull while less than the reserve is free."""
        self._unseen += size
        if self._unseen >= self._look_after or self._clock() >= self._next_look:
            self.look()
        if self._shortage is not None:
            raise DiskFull(self._shortage)

    def is_short(self) -> bool:
        """Whether less than the reserve is free."""
        if self._clock() >= self._next_look:
            self.look()
        return self._shortage is not None

    def look(self) -> None:
        """Look at the disk now. A file system that does not say how full it is counts as empty."""
        self._next_look = self._clock() + _INTERVAL
        self._unseen = 0
        try:
            space = self._measure(self._directory)
        except OSError as error:
            logger.debug("free space cannot be determined: %s", error)
            self._shortage = None
            return
        reserve = self._reserve
        if reserve is None:
            reserve = min(_LARGEST_DEFAULT, int(space.size * _DEFAULT_SHARE))
        self._look_after = max(1, reserve // _LOOKS_A_RESERVE)
        was_short = self._shortage is not None
        self._shortage = None
        if space.free < reserve:
            self._shortage = (
                f"the disk of the data directory is full: {space.free >> 20} MB are free, and writes leave "
                f"{reserve >> 20} MB for moving rows to files; free some space, or lower --disk-reserve"
            )
        if was_short != (self._shortage is not None):
            logger.warning("%s", self._shortage or "the disk has room again: writes are accepted")
