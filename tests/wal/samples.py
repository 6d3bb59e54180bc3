"""Entries, logs and segments for tests: small, readable, and written in groups of the test's choosing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
from headrace.wal.active import ActiveSegment
from headrace.wal.disk import Disk
from headrace.wal.entry import CatalogChange, CursorMove, Entry, Frame, Rows
from headrace.wal.frame import encode_payload
from headrace.wal.schema import TAG_TYPE, TIME_TYPE
from headrace.wal.segment import Segment, segment_path
from headrace.wal.writer import WalSettings


class UnsyncedDisk(Disk):
    """A disk that never waits: for tests in which nothing depends on a power cut."""

    def sync(self, descriptor: int) -> None:
        pass

    def sync_directory(self, directory: Path) -> None:
        pass


def batch(*values: int, host: str = "a") -> pa.RecordBatch:
    """One row a value: ``time`` and ``value`` are the value, ``host`` is a tag."""
    return pa.record_batch(
        {
            "time": pa.array(values, pa.int64()).cast(TIME_TYPE),
            "host": pa.array([host] * len(values), pa.utf8()).cast(TAG_TYPE),
            "value": pa.array(values, pa.int64()),
        }
    )


def rows(*values: int, table_id: int = 1) -> Rows:
    return Rows(table_id, batch(*values))


def assorted(sequence: int) -> tuple[Entry, ...]:
    """The entries of the frame with that number: cursor moves mostly, every fifth one a bit of everything."""
    if sequence % 5 == 3:
        return (CatalogChange({"kind": "table", "name": f"t{sequence}"}), rows(sequence), CursorMove(4, sequence - 1))
    return (CursorMove(sequence % 3, sequence),)


def values_of(frames: Iterable[Frame]) -> list[int]:
    """Every value in the rows of ``frames``, in order."""
    found: list[int] = []
    for frame in frames:
        for entry in frame.entries:
            if isinstance(entry, Rows):
                found.extend(entry.batch.column("value").to_pylist())
    return found


def write_segment(
    directory: Path, groups: Sequence[Sequence[int]], *, preallocate: int = 0, first: int | None = None
) -> list[Frame]:
    """A segment with frames of those numbers and ``assorted`` entries, every group written and then synced.

    Each frame says that the groups before its own were synced. Returns the frames.
    """
    start = groups[0][0] if first is None else first
    settings = WalSettings(segment_bytes=preallocate, preallocate=preallocate > 0)
    directory.mkdir(exist_ok=True)
    active = ActiveSegment.create(UnsyncedDisk(), Segment(start, segment_path(directory, start)), settings)
    frames = []
    for group in groups:
        payloads = [encode_payload(assorted(sequence)) for sequence in group]
        assert active.write(payloads, group[0], group[0] - 1) == (len(group), None)
        for sequence, payload in zip(group, payloads, strict=True):
            frames.append(Frame(sequence, assorted(sequence), payload.frame_size))
    active.close(cut=False)
    return frames


def offsets(frames: Sequence[Frame]) -> list[int]:
    """Where each frame of one segment starts, and where the last one ends."""
    starts = [0]
    for frame in frames:
        starts.append(starts[-1] + frame.size)
    return starts


def flip(data: bytes, offset: int, bit: int = 0) -> bytes:
    """``data`` with one bit changed."""
    changed = bytearray(data)
    changed[offset] ^= 1 << bit
    return bytes(changed)
