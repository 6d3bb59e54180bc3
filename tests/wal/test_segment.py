from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from headrace.wal.entry import Frame
from headrace.wal.errors import WalVersion
from headrace.wal.frame import FrameHeader
from headrace.wal.segment import (
    Bad,
    Segment,
    SegmentEnd,
    damaged,
    find_end,
    list_segments,
    map_segment,
    scan,
    segment_path,
)

from tests.wal.samples import flip, offsets, write_segment


def sequences(data: bytes, first: int = 1, limit: int | None = None) -> tuple[list[int], list[Bad]]:
    """The sequences of the intact frames and the bad stretches between them."""
    found = list(scan(pa.py_buffer(data), first, limit=limit))
    return (
        [item.sequence for item in found if isinstance(item, FrameHeader)],
        [item for item in found if isinstance(item, Bad)],
    )


def one_by_one(directory: Path, count: int = 6) -> tuple[bytes, list[Frame]]:
    frames = write_segment(directory, [[sequence] for sequence in range(1, count + 1)])
    return segment_path(directory, 1).read_bytes(), frames


def test_segments_are_listed_in_sequence_order_and_other_files_are_not(tmp_path: Path) -> None:
    for name in (
        "00000000000000000010.wal",
        "00000000000000000009.wal",
        "lock",
        "9.wal",
        "00000000000000000001.wal.bak",
    ):
        (tmp_path / name).touch()
    assert [segment.first for segment in list_segments(tmp_path)] == [9, 10]
    assert list_segments(tmp_path / "absent") == []


def test_an_empty_file_maps_to_an_empty_buffer(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert map_segment(tmp_path / "empty").size == 0
    assert sequences(b"") == ([], [])


def test_a_mapped_segment_outlives_its_file(tmp_path: Path) -> None:
    data, _ = one_by_one(tmp_path)
    path = segment_path(tmp_path, 1)
    mapped = map_segment(path)
    path.unlink()
    assert mapped.to_pybytes() == data


def test_zeros_behind_the_last_frame_end_the_scan(tmp_path: Path) -> None:
    data, _ = one_by_one(tmp_path)
    for zeros in (0, 1, 7, 39, 40, 1000, 1003):
        assert sequences(data + bytes(zeros)) == ([1, 2, 3, 4, 5, 6], [])


def test_a_last_segment_cut_anywhere_keeps_exactly_its_whole_frames(tmp_path: Path) -> None:
    data, frames = one_by_one(tmp_path)
    starts = offsets(frames)
    for size in range(len(data)):
        whole = sum(end <= size for end in starts[1:])
        intact, bad = sequences(data[:size])
        assert intact == list(range(1, whole + 1))
        cut = starts[whole]
        # A stub of zeros cannot be told from reserved space, and need not be.
        assert [(item.offset, item.end, item.torn) for item in bad] == ([(cut, size, True)] if size > cut else [])


def test_an_earlier_segment_cut_anywhere_is_damaged(tmp_path: Path) -> None:
    data, frames = one_by_one(tmp_path)
    starts = offsets(frames)
    for size in range(len(data)):
        whole = sum(end <= size for end in starts[1:])
        intact, bad = sequences(data[:size], limit=7)
        assert intact == list(range(1, whole + 1))
        assert [(item.offset, item.torn, item.expected, item.lost) for item in bad] == [
            (starts[whole], False, whole + 1, 6 - whole)
        ]


def test_a_flip_before_a_frame_that_came_after_a_sync_is_damage_there(tmp_path: Path) -> None:
    data, frames = one_by_one(tmp_path)
    starts = offsets(frames)
    for index, frame in enumerate(frames[:-1]):
        for offset in range(starts[index], starts[index + 1]):
            intact, bad = sequences(flip(data, offset, offset % 8))
            assert intact == [sequence for sequence in range(1, 7) if sequence != frame.sequence]
            assert [(item.offset, item.end, item.expected, item.lost, item.torn) for item in bad] == [
                (starts[index], starts[index + 1], frame.sequence, 1, False)
            ]


def test_a_flip_in_the_last_group_is_a_torn_tail(tmp_path: Path) -> None:
    frames = write_segment(tmp_path, [[1], [2], [3, 4, 5]])
    data = segment_path(tmp_path, 1).read_bytes()
    starts = offsets(frames)
    for offset in range(starts[2], len(data)):
        hit = max(index for index, start in enumerate(starts) if start <= offset)
        intact, bad = sequences(flip(data, offset, offset % 8) + bytes(64))
        assert intact == list(range(1, hit + 1))
        assert [(item.offset, item.torn, item.lost) for item in bad] == [(starts[hit], True, 0)]


def test_a_flip_in_the_last_group_of_an_earlier_segment_is_damage(tmp_path: Path) -> None:
    frames = write_segment(tmp_path, [[1], [2], [3, 4, 5]])
    data = segment_path(tmp_path, 1).read_bytes()
    starts = offsets(frames)
    for offset in range(starts[2], len(data)):
        hit = max(index for index, start in enumerate(starts) if start <= offset)
        intact, bad = sequences(flip(data, offset, offset % 8), limit=6)
        assert intact == [sequence for sequence in range(1, 6) if sequence != hit + 1]
        assert [(item.offset, item.torn, item.lost) for item in bad] == [(starts[hit], False, 1)]


def test_two_damaged_frames_in_a_row_are_one_stretch(tmp_path: Path) -> None:
    data, frames = one_by_one(tmp_path)
    starts = offsets(frames)
    intact, bad = sequences(flip(flip(data, starts[2] + 50), starts[3] + 2))
    assert intact == [1, 2, 5, 6]
    assert [(item.offset, item.end, item.expected, item.lost) for item in bad] == [(starts[2], starts[4], 3, 2)]


def test_damage_up_to_the_end_counts_the_frames_whose_headers_still_stand(tmp_path: Path) -> None:
    data, frames = one_by_one(tmp_path)
    starts = offsets(frames)
    hurt = flip(flip(data, starts[4] + 50), starts[5] + 50)
    intact, bad = sequences(hurt)
    assert intact == [1, 2, 3, 4]
    assert [(item.offset, item.expected, item.last_lost, item.torn) for item in bad] == [(starts[4], 5, 6, False)]
    (tmp_path / "hurt").write_bytes(hurt)
    end = find_end(Segment(1, tmp_path / "hurt"))
    assert (end.offset, end.next) == (starts[4], 7), "numbers that were given out are not given out again"


def test_a_missing_first_frame_is_noticed(tmp_path: Path) -> None:
    data, frames = one_by_one(tmp_path)
    intact, bad = sequences(data[frames[0].size :])
    assert intact == [2, 3, 4, 5, 6]
    assert [(item.offset, item.end, item.expected, item.lost) for item in bad] == [(0, 0, 1, 1)]
    assert bad[0].reason == "frame 2 where frame 1 belongs"


def test_bytes_between_two_consecutive_frames_are_damage_that_cost_nothing(tmp_path: Path) -> None:
    data, frames = one_by_one(tmp_path)
    at = offsets(frames)[3]
    intact, bad = sequences(data[:at] + b"anything" + data[at:])
    assert intact == [1, 2, 3, 4, 5, 6]
    assert [(item.offset, item.end, item.expected, item.last_lost) for item in bad] == [(at, at + 8, 4, 3)]


def test_frames_of_another_segment_are_not_taken_for_ours(tmp_path: Path) -> None:
    ours, _ = one_by_one(tmp_path / "ours", 2)
    theirs, frames = one_by_one(tmp_path / "theirs", 4)
    stale = theirs[offsets(frames)[2] :]
    intact, bad = sequences(ours + stale)
    assert intact == [1, 2]
    assert [(item.reason, item.torn) for item in bad] == [("a frame of another segment", True)]


def test_zeros_in_the_middle_are_damage(tmp_path: Path) -> None:
    data, frames = one_by_one(tmp_path)
    starts = offsets(frames)
    hole = data[: starts[2]] + bytes(starts[4] - starts[2]) + data[starts[4] :]
    intact, bad = sequences(hole)
    assert intact == [1, 2, 5, 6]
    assert [(item.offset, item.end, item.lost) for item in bad] == [(starts[2], starts[4], 2)]


def test_payloads_below_check_after_are_not_checked(tmp_path: Path) -> None:
    data, frames = one_by_one(tmp_path)
    starts = offsets(frames)
    hurt = pa.py_buffer(flip(data, starts[1] + 50))
    found = [item for item in scan(hurt, 1, limit=None, check_after=2) if isinstance(item, FrameHeader)]
    assert [header.sequence for header in found] == [1, 2, 3, 4, 5, 6]


def test_the_end_of_a_segment_is_where_the_next_frame_goes(tmp_path: Path) -> None:
    frames = write_segment(tmp_path, [[5], [6, 7]], preallocate=4096)
    segment = list_segments(tmp_path)[0]
    end = find_end(segment)
    assert (end.offset, end.next, end.torn, end.damage) == (sum(frame.size for frame in frames), 8, 0, None)
    assert end.salt is not None


def test_the_end_of_an_empty_segment_is_its_start(tmp_path: Path) -> None:
    write_segment(tmp_path, [], preallocate=4096, first=9)
    assert find_end(list_segments(tmp_path)[0]) == SegmentEnd(0, 9, None, 0, None)


def test_a_newer_release_s_segment_is_refused_by_its_version(tmp_path: Path) -> None:
    import google_crc32c

    data, _ = one_by_one(tmp_path)
    head = data[:4] + b"\7" + data[5:36]
    newer = head + google_crc32c.value(head).to_bytes(4, "little") + data[40:]
    with pytest.raises(WalVersion, match="format version 7"):
        sequences(newer)


@pytest.mark.parametrize(
    ("lost", "text"),
    [
        (1, "frame 5 cannot be read"),
        (3, "frames 5 to 7 cannot be read"),
        (0, "no frame is missing before frame 5"),
    ],
)
def test_damage_is_told_with_its_file_its_offset_and_what_is_lost(lost: int, text: str) -> None:
    bad = Bad(640, 800, 5, lost, False, "the payload of frame 5 fails its CRC")
    message = damaged(Segment(1, Path("/data/wal/1.wal")), bad).message
    assert message == (
        "write-ahead log segment /data/wal/1.wal is damaged at offset 640: the payload of frame 5 fails its CRC; "
        f"{text}. Restore the file, or start with --wal-salvage to go on without them"
    )
