"""Segment files: their names, and finding the frames in one without trusting it.

A segment is frames one after the other, nothing else; it is named by the sequence of its first
frame, and may end in zeros (space reserved but not yet written). Only the last segment of a log
grows. A segment is synced as a whole before the next one is created, hence only the last one can
have a torn tail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from headrace.wal.errors import WalDamaged
from headrace.wal.frame import ALIGNMENT, HEADER_SIZE, FrameHeader, find_header, payload_is_intact, read_header

_NAME: Final = re.compile(r"(\d{20})\.wal")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A segment file. ``first`` is the sequence its first frame has, or will have."""

    first: int
    path: Path


def segment_path(directory: Path, first: int) -> Path:
    return directory / f"{first:020d}.wal"


def list_segments(directory: Path) -> list[Segment]:
    """The segments of a log in sequence order; an absent directory has none. Other files are ignored."""
    if not directory.is_dir():
        return []
    names = ((_NAME.fullmatch(path.name), path) for path in directory.iterdir())
    return sorted(Segment(int(match[1]), path) for match, path in names if match)


def map_segment(path: Path) -> pa.Buffer:
    """The file's bytes, mapped read-only. Buffers sliced from it stay valid after the file's deletion."""
    if path.stat().st_size == 0:
        return pa.py_buffer(b"")
    with pa.memory_map(str(path), "r") as mapped:
        return mapped.read_buffer()


@dataclass(frozen=True, slots=True)
class Bad:
    """A stretch of a segment, ``offset`` to ``end``, that holds no readable frame.

    ``lost`` is how many sequences from ``expected`` on are known to be missing there: 0 when the frames
    around it are consecutive, and in a torn tail. ``torn``: nothing proves that it was ever synced, so it
    is the unfinished end of a crashed process's last group.
    """

    offset: int
    end: int
    expected: int
    lost: int
    torn: bool
    reason: str

    @property
    def last_lost(self) -> int:
        """The highest sequence known to be missing; below ``expected`` if none is."""
        return self.expected + self.lost - 1


def scan(
    segment: pa.Buffer, first: int, *, limit: int | None, check_after: int = 0, start: int = 0
) -> Iterator[FrameHeader | Bad]:
    """The frames of a mapped segment in order, with a Bad in place of whatever is not an intact frame.

    ``first`` is the sequence expected at offset ``start``, ``limit`` the first sequence of the next
    segment, None in the last one. Payloads are checked for frames above ``check_after`` only. The scan
    ends at ``limit``, at the zeros behind the last frame, or at the end of the file. Raises WalVersion
    for a newer release's frame.
    """
    view = memoryview(segment)
    offset, expected = start, first
    salt: int | None = None
    while limit is None or expected < limit:
        header = read_header(view, offset)
        reason = _objection(segment, view, offset, header, expected, salt, check_after)
        if header is not None and not reason:
            yield header
            salt, offset, expected = header.salt, header.end, header.sequence + 1
            continue
        if header is None and _is_zero(segment, offset):
            if limit is not None:
                yield Bad(offset, len(view), expected, limit - expected, False, "the segment ends early")
            return
        following, torn, highest = _next_intact(segment, view, header, offset, expected, salt, limit)
        if following is None or torn:
            lost = highest + 1 - expected if limit is None else limit - expected
            yield Bad(offset, len(view), expected, 0 if torn else lost, torn, reason)
            return
        yield Bad(offset, following.offset, expected, following.sequence - expected, False, reason)
        salt, offset, expected = following.salt, following.offset, following.sequence


def _objection(
    segment: pa.Buffer,
    view: memoryview,
    offset: int,
    header: FrameHeader | None,
    expected: int,
    salt: int | None,
    check_after: int,
) -> str:
    if header is None:
        return "no frame header" if len(view) - offset >= HEADER_SIZE else "an incomplete frame header"
    if salt is not None and header.salt != salt:
        return "a frame of another segment"
    if header.sequence != expected:
        return f"frame {header.sequence} where frame {expected} belongs"
    if header.sequence > check_after and not payload_is_intact(segment, header):
        return f"the payload of frame {expected} fails its CRC"
    return ""


def _next_intact(
    segment: pa.Buffer,
    view: memoryview,
    header: FrameHeader | None,
    offset: int,
    expected: int,
    salt: int | None,
    limit: int | None,
) -> tuple[FrameHeader | None, bool, int]:
    """The first intact frame behind the bad one at ``offset``, whether the bad stretch is a torn tail, and
    the highest sequence that a header behind it proves was given out (``expected`` if none does)."""
    start = offset + ALIGNMENT
    if header is not None and header.sequence == expected:
        start = header.end  # its length can be trusted: the next frame starts behind it, not inside
    elif header is not None and header.sequence > expected:
        start = offset  # frames are missing before it, but it is one itself
    following: FrameHeader | None = None
    torn, highest = limit is None, expected
    for candidate in find_header(view, start):
        if candidate.sequence < expected or (salt is not None and candidate.salt != salt):
            continue
        if limit is not None and candidate.sequence >= limit:
            continue
        # Even with a bad payload it bears witness: its header says what had been synced before it.
        torn = torn and candidate.synced < expected
        highest = max(highest, candidate.sequence)
        if following is None and payload_is_intact(segment, candidate):
            following = candidate
        if following is not None and not torn:
            break
    return following, torn, highest


def _is_zero(segment: pa.Buffer, offset: int) -> bool:
    rest = np.frombuffer(segment, np.uint8, offset=offset)
    words = len(rest) // 8 * 8
    return not rest[:words].view(np.uint64).any() and not rest[words:].any()


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """Where a segment's frames end, and what it takes to go on behind them.

    ``next`` is the sequence of the frame that follows; ``torn`` the number of bytes of an unfinished
    group behind ``offset``; ``damage`` the first Bad that is not a torn tail, if any.
    """

    offset: int
    next: int
    salt: int | None
    torn: int
    damage: Bad | None


def find_end(segment: Segment) -> SegmentEnd:
    """Where the frames of a log's last segment end."""
    mapped = map_segment(segment.path)
    offset, following, salt, torn = 0, segment.first, None, 0
    damage: Bad | None = None
    for found in scan(mapped, segment.first, limit=None):
        if isinstance(found, FrameHeader):
            offset, following, salt = found.end, found.sequence + 1, found.salt
        elif found.torn:
            torn = found.end - found.offset
        else:
            damage, following = damage or found, found.last_lost + 1
    return SegmentEnd(offset, following, salt, torn, damage)


def damaged(segment: Segment, bad: Bad) -> WalDamaged:
    """The error for ``bad``, naming file, offset and what is missing."""
    return WalDamaged(
        f"write-ahead log segment {segment.path} is damaged at offset {bad.offset}: {bad.reason}; "
        f"{describe_loss(bad)}. Restore the file, or start with --wal-salvage to go on without them"
    )


def describe_loss(bad: Bad) -> str:
    if bad.lost == 0:
        return f"no frame is missing before frame {bad.expected}"
    if bad.lost == 1:
        return f"frame {bad.expected} cannot be read"
    return f"frames {bad.expected} to {bad.last_lost} cannot be read"
