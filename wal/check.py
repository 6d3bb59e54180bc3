"""Is a write-ahead log whole? Reads every byte of it and changes none.

For a server that is not running: the end of a growing log looks like a torn tail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import pyarrow as pa
from headrace.wal.entry import Rows
from headrace.wal.errors import WalDamaged, WalVersion
from headrace.wal.frame import FrameHeader, decode_entries
from headrace.wal.segment import Segment, describe_loss, list_segments, map_segment, scan


@dataclass(frozen=True, slots=True)
class LogFinding:
    """Something wrong at ``offset`` of a segment."""

    segment: Path
    offset: int
    problem: str

    def __str__(self) -> str:
        return f"{self.segment}, offset {self.offset}: {self.problem}"


@dataclass(slots=True)
class LogReport:
    """What a log holds, and what is wrong with it."""

    segments: int = 0
    frames: int = 0
    bytes: int = 0
    """Bytes of intact frames."""
    rows: int = 0
    first_sequence: int | None = None
    last_sequence: int | None = None
    torn_bytes: int = 0
    """The unfinished write a crash left at the end; the next start cuts it off. Not a finding."""
    findings: list[LogFinding] = field(default_factory=list)


def check(directory: Path) -> list[LogFinding]:
    """The findings of every log at or below ``directory``, a server's data directory for instance."""
    logs = sorted({path.parent for path in directory.rglob("*.wal")})
    return [finding for log in logs for finding in check_log(log).findings]


def check_log(directory: Path) -> LogReport:
    """Check every frame of the log in ``directory``: headers, CRCs, numbering, and that its entries can be read."""
    report = LogReport()
    segments = list_segments(directory)
    for segment, following in zip_longest(segments, segments[1:]):
        report.segments += 1
        try:
            _check_segment(segment, None if following is None else following.first, report)
        except WalVersion as error:
            report.findings.append(LogFinding(segment.path, 0, str(error)))
    return report


def _check_segment(segment: Segment, limit: int | None, report: LogReport) -> None:
    mapped = map_segment(segment.path)
    view = memoryview(mapped)
    for found in scan(mapped, segment.first, limit=limit):
        if isinstance(found, FrameHeader):
            report.frames += 1
            report.bytes += found.size
            report.last_sequence = found.sequence
            if report.first_sequence is None:
                report.first_sequence = found.sequence
            try:
                batches = [entry.batch for entry in decode_entries(mapped, view, found) if isinstance(entry, Rows)]
                for batch in batches:
                    batch.validate(full=True)
            except (WalDamaged, pa.ArrowInvalid) as error:
                report.findings.append(LogFinding(segment.path, found.offset, str(error)))
            else:
                report.rows += sum(batch.num_rows for batch in batches)
        elif found.torn:
            report.torn_bytes = found.end - found.offset
        else:
            report.findings.append(LogFinding(segment.path, found.offset, f"{found.reason}; {describe_loss(found)}"))
