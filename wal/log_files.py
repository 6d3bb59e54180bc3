"""The files of an open log: its lock, its segments, and which one of them grows."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from pathlib import Path
from typing import Protocol

from headrace.wal.active import ActiveSegment
from headrace.wal.disk import Disk
from headrace.wal.errors import WalDamaged, WalLocked
from headrace.wal.segment import Segment, damaged, find_end, list_segments, segment_path

logger = logging.getLogger(__name__)

_LOCK_FILE = "lock"


class _Settings(Protocol):
    @property
    def segment_bytes(self) -> int: ...
    @property
    def preallocate(self) -> bool: ...
    @property
    def salvage(self) -> bool: ...


class LogFiles:
    """See ``open``. ``rotate`` is the writer thread's, everything else may be called from any thread."""

    def __init__(
        self,
        directory: Path,
        settings: _Settings,
        disk: Disk,
        lock_descriptor: int,
        segments: list[Segment],
        active: ActiveSegment,
        next_sequence: int,
    ) -> None:
        self.next_at_open = next_sequence
        """The number the first new frame gets."""
        self.active = active
        """The segment that grows."""
        self._directory = directory
        self._settings = settings
        self._disk = disk
        self._lock_descriptor = lock_descriptor
        # Guards the list of segments against trim, rotation and readers.
        self._lock = threading.Lock()
        self._segments = segments
        self._closed_bytes = {segment.first: segment.path.stat().st_size for segment in segments[:-1]}

    @classmethod
    def open(cls, directory: Path, settings: _Settings, disk: Disk, first_sequence: int) -> LogFiles:
        """Lock ``directory`` (made if absent), and cut the torn tail of its last segment off.

        Raises WalLocked, WalDamaged, WalVersion as ``Wal.open`` does, and OSError.
        """
        directory.mkdir(parents=True, exist_ok=True)
        lock = _lock_directory(directory)
        try:
            return cls(directory, settings, disk, lock, *_open_last(directory, settings, disk, first_sequence))
        except BaseException:
            os.close(lock)
            raise

    def rotate(self, first: int) -> None:
        """Go on in a new segment whose first frame will be ``first``. Raises OSError, and nothing has changed then."""
        segment = Segment(first, segment_path(self._directory, first))
        fresh = ActiveSegment.create(self._disk, segment, self._settings)
        with self._lock:
            old, self.active = self.active, fresh
            self._closed_bytes[self._segments[-1].first] = old.end
            self._segments.append(segment)
        try:
            old.close(cut=True)
        except OSError as error:
            logger.warning("closing a full segment of the write-ahead log: %s", error)

    def holds(self, first: int) -> bool:
        """Whether there is a file for a segment that begins with frame ``first``."""
        return segment_path(self._directory, first).exists()

    def readable(self) -> tuple[list[Segment], list[int]]:
        """The segments, and how many bytes of each hold frames."""
        with self._lock:
            closed = [self._closed_bytes[segment.first] for segment in self._segments[:-1]]
            return list(self._segments), [*closed, self.active.end]

    def trim(self, through: int) -> None:
        """Delete every segment but the newest whose frames are all at or below ``through``. Raises OSError."""
        with self._lock:
            keep = 0
            while keep + 1 < len(self._segments) and self._segments[keep + 1].first <= through + 1:
                keep += 1
            doomed, self._segments = self._segments[:keep], self._segments[keep:]
            for segment in doomed:
                del self._closed_bytes[segment.first]
        # Oldest first: a crash in between leaves no gap.
        for segment in doomed:
            self._disk.unlink(segment.path)
        if doomed:
            self._disk.sync_directory(self._directory)

    @property
    def first_retained(self) -> int:
        with self._lock:
            return self._segments[0].first

    @property
    def size_bytes(self) -> int:
        """Bytes of frames in all segments, reserved space not counted."""
        with self._lock:
            return sum(self._closed_bytes.values()) + self.active.end

    def close(self, *, cut: bool) -> None:
        """Close the growing segment (``cut``: give back what it reserved) and release the lock."""
        try:
            self.active.close(cut=cut)
        except OSError as error:
            logger.warning("closing the write-ahead log: %s", error)
        os.close(self._lock_descriptor)


def _lock_directory(directory: Path) -> int:
    descriptor = os.open(directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise WalLocked(f"{directory} is in use by another headrace process") from error
    return descriptor


def _open_last(
    directory: Path, settings: _Settings, disk: Disk, first_sequence: int
) -> tuple[list[Segment], ActiveSegment, int]:
    """The segments, the one to append to, and the next sequence."""
    segments = list_segments(directory)
    while segments and segments[-1].first < first_sequence and find_end(segments[-1]).next == segments[-1].first:
        if len(segments) > 1:
            break
        # A lone, empty segment of an older numbering: nothing is in it.
        disk.unlink(segments.pop().path)
    if not segments:
        segment = Segment(first_sequence, segment_path(directory, first_sequence))
        return [segment], ActiveSegment.create(disk, segment, settings), first_sequence
    last = segments[-1]
    end = find_end(last)
    if end.damage is not None and not settings.salvage:
        raise damaged(last, end.damage)
    if end.next < first_sequence and not settings.salvage:
        raise WalDamaged(
            f"the write-ahead log in {directory} ends with frame {end.next - 1}, but frames up to {first_sequence - 1} "
            "were persisted: its newest segments are missing"
        )
    if end.torn:
        logger.warning("cutting an unfinished write of %d bytes off %s at offset %d", end.torn, last.path, end.offset)
    if end.damage is not None or end.next < first_sequence:
        # Nothing may be appended behind damage: go on in a segment of its own.
        following = max(end.next, first_sequence, last.first + 1)
        segment = Segment(following, segment_path(directory, following))
        return [*segments, segment], ActiveSegment.create(disk, segment, settings), following
    return segments, ActiveSegment.reopen(disk, last, end, settings), end.next
