"""The segment that grows: appending frames to it, and taking back what was not written whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from headrace.wal.disk import Disk, PartialWrite, write_all
from headrace.wal.frame import Payload, encode_header
from headrace.wal.segment import Segment, SegmentEnd


class _Settings(Protocol):
    @property
    def segment_bytes(self) -> int: ...
    @property
    def preallocate(self) -> bool: ...


class ActiveSegment:
    """The newest segment, open for appending. Used by the writer thread only; ``end`` may be read by all."""

    def __init__(self, disk: Disk, segment: Segment, descriptor: int, end: int, salt: int) -> None:
        self._disk = disk
        self._descriptor = descriptor
        self._salt = salt
        self.segment = segment
        self.end = end
        """Offset behind the last whole frame."""
        self.broken = False
        """A failed write could not be taken back: nothing more may be written."""

    @classmethod
    def create(cls, disk: Disk, segment: Segment, settings: _Settings) -> ActiveSegment:
        """A new, empty segment, durable under its name. Raises OSError, and leaves no file behind if it can."""
        descriptor = disk.open(segment.path, create=True)
        try:
            if settings.preallocate:
                disk.allocate(descriptor, settings.segment_bytes)
            disk.sync(descriptor)
            disk.sync_directory(segment.path.parent)
        except OSError:
            disk.close(descriptor)
            with suppress(OSError):
                disk.unlink(segment.path)
            raise
        return cls(disk, segment, descriptor, 0, _draw_salt())

    @classmethod
    def reopen(cls, disk: Disk, segment: Segment, end: SegmentEnd, settings: _Settings) -> ActiveSegment:
        """An existing segment, cut behind its last whole frame. Raises OSError."""
        descriptor = disk.open(segment.path, create=False)
        try:
            # Also when nothing is torn: fresh zeros, and frames a killed process left unsynced become durable.
            disk.truncate(descriptor, end.offset)
            if settings.preallocate and end.offset < settings.segment_bytes:
                disk.allocate(descriptor, settings.segment_bytes)
            disk.sync(descriptor)
        except OSError:
            disk.close(descriptor)
            raise
        return cls(disk, segment, descriptor, end.offset, _draw_salt() if end.salt is None else end.salt)

    def write(self, payloads: Sequence[Payload], sequence: int, synced: int) -> tuple[int, str | None]:
        """Append frames numbered from ``sequence`` on, without syncing.

        Returns how many were written whole, and what went wrong if that is not all of them; what was
        written of the others has been cut off again (unless ``broken`` says that this failed too).
        """
        pieces: list[Any] = []
        for index, payload in enumerate(payloads):
            pieces.append(encode_header(payload, sequence=sequence + index, synced=synced, salt=self._salt))
            pieces.extend(payload.pieces)
        try:
            self.end += write_all(self._disk, self._descriptor, pieces, self.end)
            return len(payloads), None
        except PartialWrite as partial:
            whole, size = 0, 0
            for payload in payloads:
                if size + payload.frame_size > partial.written:
                    break
                size += payload.frame_size
                whole += 1
            self.end += size
            try:
                self._disk.truncate(self._descriptor, self.end)
            except OSError as error:
                self.broken = True
                return whole, f"{partial.cause}, then {error}"
            return whole, str(partial.cause)

    def sync(self) -> None:
        """Everything written is on disk when this returns. Raises OSError."""
        self._disk.sync(self._descriptor)

    def close(self, *, cut: bool) -> None:
        """Close the file; with ``cut`` give back the space reserved behind the last frame. Raises OSError."""
        try:
            if cut:
                self._disk.truncate(self._descriptor, self.end)
        finally:
            self._disk.close(self._descriptor)


def _draw_salt() -> int:
    return int.from_bytes(os.urandom(4), "little")
