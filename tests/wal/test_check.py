from __future__ import annotations

from pathlib import Path

from headrace.wal.check import LogReport, check, check_log
from headrace.wal.entry import CursorMove
from headrace.wal.segment import segment_path
from headrace.wal.writer import Wal, WalSettings

from tests.wal.samples import flip, rows


def write(directory: Path) -> list[int]:
    """Twenty frames in several segments; returns where each frame of the first one starts."""
    sizes: list[int] = []
    settings = WalSettings(segment_bytes=4096)
    with Wal.open(directory, settings, on_commit=lambda frames: sizes.extend(frame.size for frame in frames)) as wal:
        for number in range(1, 21):
            wal.submit([rows(number, number), CursorMove(1, number - 1)]).result(30)
    return [sum(sizes[:index]) for index in range(4)]


def test_a_sound_log_has_no_findings_and_is_counted(tmp_path: Path) -> None:
    write(tmp_path)
    report = check_log(tmp_path)
    assert report.findings == []
    assert (report.frames, report.rows, report.first_sequence, report.last_sequence) == (20, 40, 1, 20)
    assert report.segments == len(list(tmp_path.glob("*.wal"))) > 2
    assert report.bytes == sum(path.stat().st_size for path in tmp_path.glob("*.wal"))


def test_an_absent_log_is_empty(tmp_path: Path) -> None:
    assert check_log(tmp_path / "absent") == LogReport()


def test_all_damage_is_found_in_one_run(tmp_path: Path) -> None:
    starts = write(tmp_path)
    path = segment_path(tmp_path, 1)
    path.write_bytes(flip(flip(path.read_bytes(), starts[1] + 50), starts[3] + 1))
    assert [(finding.segment, finding.offset) for finding in check_log(tmp_path).findings] == [
        (path, starts[1]),
        (path, starts[3]),
    ]


def test_the_logs_below_a_data_directory_are_found(tmp_path: Path) -> None:
    (tmp_path / "data" / "node").mkdir(parents=True)
    starts = write(tmp_path / "data" / "node" / "wal")
    path = segment_path(tmp_path / "data" / "node" / "wal", 1)
    assert check(tmp_path) == []
    path.write_bytes(flip(path.read_bytes(), starts[1] + 50))
    assert [str(finding) for finding in check(tmp_path)] == [
        f"{path}, offset {starts[1]}: the payload of frame 2 fails its CRC; frame 2 cannot be read"
    ]


def test_a_torn_tail_is_counted_and_is_no_finding(tmp_path: Path) -> None:
    write(tmp_path)
    last = max(tmp_path.glob("*.wal"))
    last.write_bytes(last.read_bytes()[:-9])
    report = check_log(tmp_path)
    assert report.findings == []
    assert report.torn_bytes > 0
    assert report.frames == 19
