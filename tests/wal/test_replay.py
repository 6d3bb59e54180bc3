from __future__ import annotations

import logging
from pathlib import Path

import google_crc32c
import pytest
from headrace.wal.errors import WalDamaged
from headrace.wal.frame import Payload, encode_header
from headrace.wal.replay import Skipped, replay
from headrace.wal.segment import Segment, segment_path

from tests.wal.samples import flip, offsets, write_segment


def three_segments(directory: Path) -> list[int]:
    """Frames 1–3, 4–6 and 7–9 in a segment each; returns the starts of the frames in the second one."""
    write_segment(directory, [[1], [2], [3]])
    frames = write_segment(directory, [[4], [5], [6]])
    write_segment(directory, [[7], [8], [9]])
    return offsets(frames)


def test_an_absent_or_empty_log_replays_to_nothing(tmp_path: Path) -> None:
    assert list(replay(tmp_path / "absent", 0)) == []
    write_segment(tmp_path, [], preallocate=4096, first=1)
    assert list(replay(tmp_path, 0)) == []


@pytest.mark.parametrize("after", range(11))
def test_replay_starts_behind_a_sequence(tmp_path: Path, after: int) -> None:
    three_segments(tmp_path)
    run = replay(tmp_path, after)
    assert [frame.sequence for frame in run] == list(range(after + 1, 10))
    assert run.frames == max(0, 9 - after)
    assert run.last_sequence == max(after, 9)
    assert run.torn_bytes == 0
    assert run.skipped == []


def test_segments_wholly_below_are_not_even_opened(tmp_path: Path) -> None:
    three_segments(tmp_path)
    segment_path(tmp_path, 1).write_bytes(b"anything")
    assert [frame.sequence for frame in replay(tmp_path, 3)] == [4, 5, 6, 7, 8, 9]


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    three_segments(tmp_path)
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    reports: list[tuple[int, int]] = []
    run = replay(tmp_path, 0, on_progress=lambda done, whole: reports.append((done, whole)))
    assert len(list(run)) == 9
    assert reports[-1] == (total, total)
    assert reports == sorted(reports)
    assert run.bytes == total


def test_replay_tells_what_it_did(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    three_segments(tmp_path)
    with caplog.at_level(logging.INFO, logger="headrace.wal.replay"):
        list(replay(tmp_path, 0))
    assert "replayed 9 frames" in caplog.text


def test_a_torn_tail_ends_the_replay_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    three_segments(tmp_path)
    path = segment_path(tmp_path, 7)
    path.write_bytes(path.read_bytes()[:-8] + bytes(100))
    run = replay(tmp_path, 0)
    assert [frame.sequence for frame in run] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert run.torn_bytes > 0
    assert run.skipped == []
    assert "ends in an unfinished write" in caplog.text


def test_every_flip_in_an_earlier_segment_stops_the_replay_or_is_skipped_with_a_report(tmp_path: Path) -> None:
    starts = three_segments(tmp_path)
    path = segment_path(tmp_path, 4)
    data = path.read_bytes()
    for offset in range(len(data)):
        hit = max(index for index, start in enumerate(starts[:-1]) if start <= offset)
        path.write_bytes(flip(data, offset, offset % 8))
        with pytest.raises(WalDamaged, match=rf"{path} is damaged at offset {starts[hit]}: .*frame {4 + hit} cannot"):
            list(replay(tmp_path, 0))
        run = replay(tmp_path, 0, salvage=True)
        assert [frame.sequence for frame in run] == [number for number in range(1, 10) if number != 4 + hit]
        (skipped,) = run.skipped
        assert skipped == Skipped(path, starts[hit], starts[hit + 1], 4 + hit, 4 + hit, skipped.reason)
        assert [frame.sequence for frame in replay(tmp_path, 6)] == [7, 8, 9]


def test_an_earlier_segment_cut_at_any_byte_stops_the_replay(tmp_path: Path) -> None:
    starts = three_segments(tmp_path)
    path = segment_path(tmp_path, 4)
    data = path.read_bytes()
    for size in range(len(data)):
        whole = sum(end <= size for end in starts[1:])
        path.write_bytes(data[:size])
        with pytest.raises(WalDamaged, match=rf"{path} is damaged at offset {starts[whole]}: "):
            list(replay(tmp_path, 0))
        run = replay(tmp_path, 0, salvage=True)
        assert [frame.sequence for frame in run] == [*range(1, 4 + whole), 7, 8, 9]
        assert [(skip.first, skip.last) for skip in run.skipped] == [(4 + whole, 6)]


def test_damage_below_what_is_needed_is_passed_over(tmp_path: Path) -> None:
    starts = three_segments(tmp_path)
    path = segment_path(tmp_path, 4)
    path.write_bytes(flip(path.read_bytes(), starts[0] + 3))
    run = replay(tmp_path, 4)
    assert [frame.sequence for frame in run] == [5, 6, 7, 8, 9]
    assert [(skip.first, skip.last) for skip in run.skipped] == [(4, 4)]


def test_a_missing_segment_in_the_middle_is_damage(tmp_path: Path) -> None:
    three_segments(tmp_path)
    segment_path(tmp_path, 4).unlink()
    with pytest.raises(WalDamaged, match="the segment ends early; frames 4 to 6 cannot be read"):
        list(replay(tmp_path, 0))
    run = replay(tmp_path, 0, salvage=True)
    assert [frame.sequence for frame in run] == [1, 2, 3, 7, 8, 9]
    assert [(skip.first, skip.last) for skip in run.skipped] == [(4, 6)]
    assert [frame.sequence for frame in replay(tmp_path, 6)] == [7, 8, 9]


def test_a_missing_first_segment_is_damage_only_if_it_is_needed(tmp_path: Path) -> None:
    three_segments(tmp_path)
    segment_path(tmp_path, 1).unlink()
    with pytest.raises(WalDamaged, match="the segments before it are missing; frames 2 to 3 cannot be read"):
        list(replay(tmp_path, 1))
    run = replay(tmp_path, 1, salvage=True)
    assert [frame.sequence for frame in run] == [4, 5, 6, 7, 8, 9]
    assert [(skip.first, skip.last) for skip in run.skipped] == [(2, 3)]
    assert [frame.sequence for frame in replay(tmp_path, 3)] == [4, 5, 6, 7, 8, 9]


def test_an_intact_frame_without_the_format_is_damage_that_salvage_passes_over(tmp_path: Path) -> None:
    body = bytes([3, 0, 0, 0]) + (16).to_bytes(4, "little") + bytes(16)
    payload = Payload((body,), len(body), google_crc32c.value(body), 1)
    frames = write_segment(tmp_path, [[1]])
    path = segment_path(tmp_path, 1)
    salt = int.from_bytes(path.read_bytes()[32:36], "little")
    with path.open("ab") as file:
        file.write(encode_header(payload, sequence=2, synced=1, salt=salt) + body)
    with pytest.raises(WalDamaged, match=f"damaged at offset {frames[0].size}: frame 2: entry body leaves the payload"):
        list(replay(tmp_path, 0))
    run = replay(tmp_path, 0, salvage=True)
    assert list(run) == frames
    assert [(skip.first, skip.last) for skip in run.skipped] == [(2, 2)]


def test_replay_changes_nothing_on_disk(tmp_path: Path) -> None:
    three_segments(tmp_path)
    path = segment_path(tmp_path, 7)
    path.write_bytes(path.read_bytes()[:-3])
    before = {Segment(0, file): file.read_bytes() for file in tmp_path.iterdir()}
    list(replay(tmp_path, 0))
    assert before == {Segment(0, file): file.read_bytes() for file in tmp_path.iterdir()}
