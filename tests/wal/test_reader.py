from __future__ import annotations

from pathlib import Path

import pytest
from headrace.wal.entry import CursorMove, Frame
from headrace.wal.errors import WalDamaged
from headrace.wal.segment import list_segments, segment_path
from headrace.wal.writer import Wal, WalSettings

from tests.wal.samples import UnsyncedDisk, flip, offsets, rows, values_of, write_segment


def ignore(_: object) -> None:
    pass


def read_all(wal: Wal, after: int, limit_bytes: int, table_ids: set[int] | None = None) -> list[Frame]:
    """Read to the end in steps, as a trigger does."""
    found: list[Frame] = []
    while step := wal.read(after, limit_bytes=limit_bytes, table_ids=table_ids):
        assert step[-1].sequence > after
        after = step[-1].sequence
        found.extend(step)
    assert after == wal.last_sequence
    return found


@pytest.mark.parametrize("tail_bytes", [0, 40_000, 64 << 20])
@pytest.mark.parametrize("limit_bytes", [1, 1500, 1 << 20])
def test_reading_in_steps_gives_every_frame_once(tmp_path: Path, tail_bytes: int, limit_bytes: int) -> None:
    settings = WalSettings(segment_bytes=4096, tail_bytes=tail_bytes)
    with Wal.open(tmp_path, settings, on_commit=ignore, disk=UnsyncedDisk()) as wal:
        for number in range(1, 41):
            wal.submit([rows(number)]).result(30)
        for after in (0, 1, 17, 39, 40):
            assert values_of(read_all(wal, after, limit_bytes)) == list(range(after + 1, 41))
        assert wal.read(40, limit_bytes=1) == []
        assert wal.read(99, limit_bytes=1) == []


@pytest.mark.parametrize("tail_bytes", [0, 64 << 20])
def test_reading_one_table_skips_the_others_but_gets_as_far(tmp_path: Path, tail_bytes: int) -> None:
    settings = WalSettings(segment_bytes=4096, tail_bytes=tail_bytes)
    with Wal.open(tmp_path, settings, on_commit=ignore, disk=UnsyncedDisk()) as wal:
        for number in range(1, 41):
            wal.submit([rows(number, table_id=number % 4), rows(-number, table_id=9)]).result(30)
        assert values_of(read_all(wal, 0, 2000, {1})) == list(range(1, 41, 4))
        assert values_of(read_all(wal, 0, 2000, {9})) == list(range(-1, -41, -1))
        assert values_of(read_all(wal, 0, 2000, {77})) == []
        assert len(read_all(wal, 0, 1 << 30, {77})) <= len(list_segments(tmp_path))


def test_what_is_not_rows_is_read_for_every_table(tmp_path: Path) -> None:
    with Wal.open(tmp_path, WalSettings(tail_bytes=0), on_commit=ignore) as wal:
        wal.submit([rows(1), CursorMove(5, 6)]).result(30)
        assert wal.read(0, limit_bytes=1, table_ids=set())[0].entries == (CursorMove(5, 6),)


def test_a_reopened_log_reads_what_was_there(tmp_path: Path) -> None:
    frames = write_segment(tmp_path, [[number] for number in range(1, 20)])
    with Wal.open(tmp_path, on_commit=ignore) as wal:
        assert read_all(wal, 0, 1000) == frames


def test_damage_found_while_reading_names_segment_and_offset(tmp_path: Path) -> None:
    frames = write_segment(tmp_path, [[number] for number in range(1, 9)])
    path = segment_path(tmp_path, 1)
    at = offsets(frames)[3]
    with Wal.open(tmp_path, WalSettings(tail_bytes=0, preallocate=False), on_commit=ignore) as wal:
        path.write_bytes(flip(path.read_bytes(), at + 41))
        with pytest.raises(WalDamaged, match=rf"{path} is damaged at offset {at}: .*frame 4 cannot be read"):
            wal.read(0, limit_bytes=1 << 20)
        assert wal.read(4, limit_bytes=1 << 20) == frames[4:], "damage behind the reader is not its business"


def test_damage_is_passed_over_when_salvaging(tmp_path: Path) -> None:
    frames = write_segment(tmp_path, [[number] for number in range(1, 9)])
    path = segment_path(tmp_path, 1)
    starts = offsets(frames)
    with Wal.open(tmp_path, WalSettings(tail_bytes=0, preallocate=False, salvage=True), on_commit=ignore) as wal:
        path.write_bytes(flip(flip(path.read_bytes(), starts[3] + 41), starts[7] + 41))
        assert read_all(wal, 0, 1 << 20) == [*frames[:3], *frames[4:7], Frame(8, (), 0)]
