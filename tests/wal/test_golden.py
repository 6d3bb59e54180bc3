"""The format on disk does not change unnoticed: a log written by an earlier commit reads as it did.

``python -m tests.wal.test_golden`` writes the file anew, for a new version of the format.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
from headrace.wal.entry import CatalogChange, CursorMove, Entry, Frame, Rows
from headrace.wal.replay import replay
from headrace.wal.schema import TAG_TYPE, TIME_TYPE
from headrace.wal.segment import segment_path
from headrace.wal.writer import Wal, WalSettings

GOLDEN = Path(__file__).parent / "golden" / "00000000000000000041.wal"
FIRST = 41

HOME = pa.record_batch(
    {
        "time": pa.array([-1, 1641024000000000000], pa.int64()).cast(TIME_TYPE),
        "room": pa.array(["Kitchen", None], pa.utf8()).cast(TAG_TYPE),
        "temp": pa.array([21.5, None], pa.float64()),
        "co": pa.array([-9, 2**62], pa.int64()),
        "seen": pa.array([2**64 - 1, None], pa.uint64()),
        "on": pa.array([True, False], pa.bool_()),
        "note": pa.array(["ünïcode\n", ""], pa.utf8()),
    }
)
FRAMES: list[tuple[Entry, ...]] = [
    (CatalogChange({"kind": "table", "columns": {"room": "tag"}, "v": 1}), Rows(3, HOME)),
    (CursorMove(7, 41),),
    (),
    (Rows(3, HOME.slice(0, 0)), Rows(4, HOME.select(["time", "co"])), CursorMove(8, 43)),
]


def write(directory: Path) -> None:
    with Wal.open(directory, WalSettings(), on_commit=lambda _: None, first_sequence=FIRST) as wal:
        for entries in FRAMES:
            wal.submit(entries).result(30)


def test_a_log_of_format_version_1_reads_as_it_was_written(tmp_path: Path) -> None:
    shutil.copy(GOLDEN, tmp_path)
    frames: list[Frame] = list(replay(tmp_path, FIRST - 1))
    assert [frame.entries for frame in frames] == FRAMES
    assert [frame.sequence for frame in frames] == [41, 42, 43, 44]
    assert sum(frame.size for frame in frames) == GOLDEN.stat().st_size


def test_headers_are_written_as_they_were(tmp_path: Path) -> None:
    write(tmp_path)
    ours, golden = segment_path(tmp_path, FIRST).read_bytes(), GOLDEN.read_bytes()
    # Arrow may encode rows in other, equal bytes one day, and the salt is random; what is ours alone is compared:
    # magic, version, flags, number of entries, sequence, synced of every frame, and the frames without rows whole.
    ours_at, golden_at = 0, 0
    for frame, before in zip(replay(tmp_path, 40), replay(GOLDEN.parent, 40), strict=True):
        assert ours[ours_at : ours_at + 24] == golden[golden_at : golden_at + 24]
        if not any(isinstance(entry, Rows) for entry in frame.entries):
            start, end = 24, frame.size
            assert frame.size == before.size
            assert ours[ours_at + start : ours_at + 32] == golden[golden_at + start : golden_at + 32]
            assert ours[ours_at + 40 : ours_at + end] == golden[golden_at + 40 : golden_at + end]
        ours_at, golden_at = ours_at + frame.size, golden_at + before.size


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        write(Path(directory))
        shutil.copy(segment_path(Path(directory), FIRST), GOLDEN)
