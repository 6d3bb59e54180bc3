"""Reading committed frames back from segments while the log grows."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from headrace.wal.entry import Frame
from headrace.wal.frame import FrameHeader, decode_entries
from headrace.wal.segment import Segment, damaged, describe_loss, map_segment, scan

logger = logging.getLogger(__name__)


def read_segments(
    segments: Sequence[Segment],
    sizes: Sequence[int],
    after: int,
    last: int,
    limit_bytes: int,
    table_ids: Collection[int] | None,
    *,
    salvage: bool,
) -> list[Frame]:
    """Frames above ``after`` up to ``last`` from the one segment that holds ``after + 1``.

    ``sizes`` are how many bytes of each segment hold frames: what is behind them is never touched, since
    the writer may cut it off at any moment, and reading mapped bytes that are gone kills the process.
    Stops at the segment's end even if ``limit_bytes`` is not reached: one call's work is bounded.
    Raises FileNotFoundError if the segment has been deleted meanwhile, WalDamaged.
    """
    index = max(place for place, segment in enumerate(segments) if segment.first <= after + 1)
    segment = segments[index]
    following = segments[index + 1].first if index + 1 < len(segments) else last + 1
    mapped = map_segment(segment.path).slice(0, sizes[index])
    view = memoryview(mapped)
    found: list[Frame] = []
    size = 0
    skipped: Frame | None = None
    for header in scan(mapped, segment.first, limit=min(following, last + 1), check_after=after):
        if not isinstance(header, FrameHeader):
            if header.last_lost <= after:
                continue
            if not salvage:
                raise damaged(segment, header)
            logger.warning("skipping damage in %s at offset %d: %s", segment.path, header.offset, describe_loss(header))
            skipped = Frame(header.last_lost, (), 0)
            continue
        if header.sequence <= after:
            continue
        if found and size + header.size > limit_bytes:
            break
        entries = decode_entries(mapped, view, header, table_ids)
        if not entries and table_ids is not None:
            skipped = Frame(header.sequence, (), header.size)
            continue
        skipped = None
        size += header.size
        found.append(Frame(header.sequence, entries, header.size))
    return found if skipped is None else [*found, skipped]
