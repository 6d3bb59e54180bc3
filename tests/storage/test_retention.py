from __future__ import annotations

import logging
import weakref
from pathlib import Path

import pyarrow as pa
import pytest
from headrace.storage.objects import Objects
from headrace.storage.retention import DoomedFiles, Generation, Hold, trim_wal, unexpired
from headrace.storage.snapshot import DataFile
from headrace.wal.entry import Rows
from headrace.wal.schema import TIME_TYPE
from headrace.wal.writer import Wal, WalSettings

BATCH = pa.record_batch({"time": pa.array([1]).cast(TIME_TYPE)})


@pytest.fixture
def wal(tmp_path: Path) -> Wal:
    """Twenty frames in about as many segments."""
    wal = Wal.open(tmp_path, WalSettings(segment_bytes=400, preallocate=False), on_commit=lambda _: None)
    for _ in range(20):
        wal.submit([Rows(1, BATCH)]).result(10)
    return wal


def test_the_log_is_trimmed_to_what_is_neither_persisted_nor_read(wal: Wal, tmp_path: Path) -> None:
    with wal:
        trim_wal(wal, tmp_path, 15, [Hold(1, "db.slow", 7), Hold(2, "db.fast", 12)], 1 << 30)
        assert wal.first_retained_sequence == 8
        trim_wal(wal, tmp_path, 15, [], 1 << 30)
        assert wal.first_retained_sequence == 16


def test_beyond_the_bound_a_trigger_loses_frames_and_is_named(
    wal: Wal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with wal, caplog.at_level(logging.ERROR):
        frame = wal.size_bytes // 20
        trim_wal(wal, tmp_path, 15, [Hold(1, "db.slow", 7)], 9 * frame)
        assert wal.size_bytes <= 9 * frame
        assert wal.first_retained_sequence == 12
        assert "trigger db.slow" in caplog.text
        assert "frames 8 to" in caplog.text


def test_frames_that_are_not_persisted_stay_whatever_the_bound(wal: Wal, tmp_path: Path) -> None:
    with wal:
        trim_wal(wal, tmp_path, 5, [], 0)
        assert wal.first_retained_sequence == 6


def test_a_file_expires_with_its_last_row() -> None:
    files = [DataFile(f"{n}", 1, 1, n, n + 10, 1, frozenset()) for n in range(0, 40, 10)]
    assert [file.path for file in unexpired(files, 20)] == ["10", "20", "30"]
    assert len(unexpired(files, None)) == 4


def test_files_wait_for_the_snapshots_of_every_older_generation(tmp_path: Path) -> None:
    objects, now = Objects(tmp_path), [0.0]
    doomed = DoomedFiles(objects, 10.0, lambda: now[0])
    for name in ("a", "b"):
        objects.put(name, b"x")
    older, newer = Generation(), Generation()
    doomed.add(["a"], older)
    doomed.add(["b"], newer)
    watched = weakref.ref(newer)
    del newer
    assert watched() is None
    now[0] = 11.0
    assert doomed.sweep() == 0, "a snapshot of the older generation has both files"
    del older
    assert doomed.sweep() == 2
    assert list(objects.list("")) == []


def test_files_wait_out_the_grace(tmp_path: Path) -> None:
    objects, now = Objects(tmp_path), [0.0]
    doomed = DoomedFiles(objects, 10.0, lambda: now[0])
    objects.put("a", b"x")
    doomed.add(["a", "not there"], Generation())
    now[0] = 9.0
    assert doomed.sweep() == 0
    now[0] = 10.0
    assert doomed.sweep() == 2
