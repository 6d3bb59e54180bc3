"""Reading a log back at start-up: every frame above a sequence, checked, in order."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from headrace.wal.entry import Frame
from headrace.wal.errors import WalDamaged
from headrace.wal.frame import FrameHeader, decode_entries
from headrace.wal.segment import Bad, Segment, damaged, describe_loss, list_segments, map_segment, scan

logger = logging.getLogger(__name__)

_LOG_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Skipped:
    """A damaged stretch that was passed over; sequences ``first`` to ``last`` are missing, none if last < first."""

    segment: Path
    offset: int
    end: int
    first: int
    last: int
    reason: str


class Replay:
    """The frames of a log above a sequence; iterate once. The other attributes fill in as it goes.

    Nothing on disk is changed: cutting the torn tail off is ``Wal.open``'s work.
    """

    def __init__(
        self,
        directory: Path,
        after_sequence: int,
        *,
        salvage: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._directory = directory
        self._after = after_sequence
        self._salvage = salvage
        self._on_progress = on_progress
        self.skipped: list[Skipped] = []
        """Damage passed over, in order: with ``salvage`` all of it, else only where nothing needed was lost."""
        self.frames = 0
        """Frames given out so far."""
        self.bytes = 0
        """Bytes of segments read so far."""
        self.last_sequence = after_sequence
        """The highest sequence seen so far, or ``after_sequence``."""
        self.torn_bytes = 0
        """Bytes of the unfinished group at the end of the last segment."""

    def __iter__(self) -> Iterator[Frame]:
        segments = list_segments(self._directory)
        segments = [
            segment
            for segment, following in zip_longest(segments, segments[1:])
            if following is None or following.first > self._after + 1
        ]
        if not segments:
            return
        total = sum(segment.path.stat().st_size for segment in segments)
        started = logged = time.monotonic()
        size = 0
        if segments[0].first > self._after + 1:
            self._missing_front(segments[0])
        for index, segment in enumerate(segments):
            following = segments[index + 1] if index + 1 < len(segments) else None
            if following is not None:
                _prefetch(following.path)
            before = self.bytes
            for frame in self._segment(segment, following):
                size += frame.size
                yield frame
                if (now := time.monotonic()) - logged >= _LOG_EVERY:
                    logged = now
                    logger.info("replaying the write-ahead log: %d of %d MB", self.bytes >> 20, total >> 20)
                    self._report(total)
            self.bytes = before + segment.path.stat().st_size
            self._report(total)
        seconds = time.monotonic() - started
        logger.info("replayed %d frames, %d MB of write-ahead log in %.2f s", self.frames, size >> 20, seconds)

    def _segment(self, segment: Segment, following: Segment | None) -> Iterator[Frame]:
        mapped = map_segment(segment.path)
        view = memoryview(mapped)
        limit = None if following is None else following.first
        for found in scan(mapped, segment.first, limit=limit, check_after=self._after):
            if not isinstance(found, FrameHeader):
                self._bad(segment, found)
                continue
            self.bytes += found.size
            if found.sequence <= self._after:
                continue
            try:
                entries = decode_entries(mapped, view, found)
            except WalDamaged as error:
                self._bad(segment, Bad(found.offset, found.end, found.sequence, 1, False, str(error)))
                continue
            self.frames += 1
            self.last_sequence = found.sequence
            yield Frame(found.sequence, entries, found.size)

    def _bad(self, segment: Segment, bad: Bad) -> None:
        if bad.torn:
            self.torn_bytes = bad.end - bad.offset
            logger.warning("the write-ahead log ends in an unfinished write: %s, offset %d", segment.path, bad.offset)
            return
        if bad.last_lost > self._after and not self._salvage:
            raise damaged(segment, bad)
        self.skipped.append(Skipped(segment.path, bad.offset, bad.end, bad.expected, bad.last_lost, bad.reason))
        logger.warning("skipping damage in %s at offset %d: %s", segment.path, bad.offset, describe_loss(bad))

    def _missing_front(self, first: Segment) -> None:
        lost = first.first - self._after - 1
        bad = Bad(0, 0, self._after + 1, lost, False, "the segments before it are missing")
        if not self._salvage:
            raise damaged(first, bad)
        self._bad(first, bad)

    def _report(self, total: int) -> None:
        if self._on_progress is not None:
            self._on_progress(self.bytes, total)


def replay(
    directory: Path,
    after_sequence: int,
    *,
    salvage: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Replay:
    """Every frame above ``after_sequence``, in order, each checked; a torn tail of the last segment ends it.

    Record batches are views of the mapped segments: they cost no memory of their own and stay valid
    after the segment is deleted. ``on_progress`` gets bytes done and bytes in all, about once a second
    and after every segment.

    Iterating raises WalDamaged, naming segment and offset, when a frame above ``after_sequence``
    cannot be read or is missing; with ``salvage`` it goes on behind the damage and lists it in
    ``Replay.skipped``. Raises WalVersion for a newer release's log in either case.
    """
    return Replay(directory, after_sequence, salvage=salvage, on_progress=on_progress)


def _prefetch(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(descriptor)
