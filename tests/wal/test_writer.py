from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import Future
from itertools import pairwise
from pathlib import Path

import pytest
from headrace.wal.entry import CatalogChange, CursorMove, Entry, Frame, Rows
from headrace.wal.errors import WalClosed, WalDamaged, WalFailed, WalFull, WalLocked, WalTrimmed
from headrace.wal.replay import replay
from headrace.wal.segment import list_segments, segment_path
from headrace.wal.writer import Wal, WalSettings

from tests.wal.faulty_disk import GatedDisk
from tests.wal.samples import UnsyncedDisk, assorted, batch, flip, offsets, rows, values_of, write_segment

SMALL = WalSettings(segment_bytes=4096, tail_bytes=0)
FRAME = 600


class Committed(list[Frame]):
    """What ``on_commit`` was given."""

    def __call__(self, frames: object) -> None:
        self.extend(frames)  # type: ignore[arg-type]


def ignore(_: object) -> None:
    pass


def everything(directory: Path) -> list[Frame]:
    return list(replay(directory, 0))


def test_frames_are_numbered_from_one_in_the_order_of_submission(tmp_path: Path) -> None:
    committed = Committed()
    with Wal.open(tmp_path, on_commit=committed) as wal:
        assert wal.last_sequence == 0
        futures = [wal.submit(assorted(number)) for number in range(1, 21)]
        assert [future.result(30) for future in futures] == list(range(1, 21))
        assert wal.last_sequence == 20
    assert [frame.entries for frame in committed] == [assorted(number) for number in range(1, 21)]
    assert everything(tmp_path) == committed


def test_the_first_frame_can_be_given_its_number(tmp_path: Path) -> None:
    with Wal.open(tmp_path, on_commit=ignore, first_sequence=1000) as wal:
        assert wal.submit([rows(1)]).result(30) == 1000
        assert wal.first_retained_sequence == 1000
    assert [frame.sequence for frame in replay(tmp_path, 999)] == [1000]


def test_an_empty_log_of_an_older_numbering_makes_room(tmp_path: Path) -> None:
    Wal.open(tmp_path, on_commit=ignore).close()
    with Wal.open(tmp_path, on_commit=ignore, first_sequence=50) as wal:
        assert wal.submit([rows(1)]).result(30) == 50
    assert [frame.sequence for frame in replay(tmp_path, 49)] == [50]


def test_a_reopened_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    for run in range(5):
        with Wal.open(tmp_path, SMALL, on_commit=ignore) as wal:
            assert wal.last_sequence == run * 4
            for number in range(4):
                wal.submit([rows(run * 4 + number)]).result(30)
    assert values_of(everything(tmp_path)) == list(range(20))


def test_an_empty_frame_takes_a_number_too(tmp_path: Path) -> None:
    with Wal.open(tmp_path, on_commit=ignore) as wal:
        assert wal.submit([]).result(30) == 1
    assert [frame.entries for frame in everything(tmp_path)] == [()]


def test_on_commit_sees_a_frame_before_its_future_resolves(tmp_path: Path) -> None:
    committed = Committed()
    with Wal.open(tmp_path, on_commit=committed) as wal:
        for number in range(1, 50):
            assert wal.submit([CursorMove(1, number)]).result(30) == committed[-1].sequence == number


def test_frames_submitted_during_a_sync_share_the_next_one(tmp_path: Path) -> None:
    disk = GatedDisk()
    with Wal.open(tmp_path, on_commit=ignore, disk=disk) as wal:
        disk.shut()
        first = wal.submit([rows(0)])
        assert disk.waiting.wait(30)
        others = [wal.submit([rows(number)]) for number in range(1, 101)]
        before = disk.syncs
        assert not first.done()
        disk.gate.set()
        assert [future.result(30) for future in [first, *others]] == list(range(1, 102))
        assert disk.syncs == before + 1


def test_without_sync_a_write_is_acked_before_the_sync_but_after_the_writing(tmp_path: Path) -> None:
    disk = GatedDisk()
    committed = Committed()
    with Wal.open(tmp_path, on_commit=committed, disk=disk) as wal:
        disk.shut()
        hasty, careful = wal.submit([rows(1)], sync=False), None
        assert hasty.result(30) == 1
        assert disk.waiting.wait(30)
        assert committed == []
        # A killed process leaves what was written: replay already finds it.
        assert values_of(everything(tmp_path)) == [1]
        careful = wal.submit([rows(2)])
        assert not careful.done()
        disk.gate.set()
        assert careful.result(30) == 2
    assert values_of(committed) == [1, 2]


def test_a_full_queue_makes_the_writer_wait_and_then_refuses(tmp_path: Path) -> None:
    disk = GatedDisk()
    settings = WalSettings(queue_bytes=3 * FRAME, submit_timeout=0.05)
    with Wal.open(tmp_path, settings, on_commit=ignore, disk=disk) as wal:
        disk.shut()
        accepted: list[Future[int]] = []

        def fill() -> None:
            for number in range(100):
                accepted.append(wal.submit([rows(number)]))

        with pytest.raises(WalFull, match="retry later"):
            fill()
        assert len(accepted) <= 4
        with pytest.raises(WalFull):
            wal.reserve(FRAME, timeout=0)
        disk.gate.set()
        assert [future.result(30) for future in accepted] == list(range(1, len(accepted) + 1))
        assert wal.submit([rows(100)]).result(30) == len(accepted) + 1
    assert values_of(everything(tmp_path)) == [*range(len(accepted)), 100]


def test_a_reservation_lets_one_write_pass_a_full_queue(tmp_path: Path) -> None:
    disk = GatedDisk()
    with Wal.open(tmp_path, WalSettings(queue_count=2, submit_timeout=0), on_commit=ignore, disk=disk) as wal:
        disk.shut()
        with wal.reserve() as reservation:
            first = wal.submit([rows(0)])
            with pytest.raises(WalFull):
                wal.submit([rows(1)])
            second = wal.submit([rows(2)], reservation=reservation)
        disk.gate.set()
        assert (first.result(30), second.result(30)) == (1, 2)


def test_a_failed_encoding_gives_the_reserved_room_back(tmp_path: Path) -> None:
    with Wal.open(tmp_path, WalSettings(queue_count=1, submit_timeout=0), on_commit=ignore) as wal:
        for _ in range(3):
            with wal.reserve() as reservation, pytest.raises(TypeError):
                wal.submit([CatalogChange({"not JSON": object()})], reservation=reservation)
        wal.submit([rows(1)], timeout=10).result(30)


def test_many_submitters_keep_their_order_and_their_frames_whole(tmp_path: Path) -> None:
    committed = Committed()
    acked: list[list[tuple[int, int]]] = [[] for _ in range(8)]

    def submit(thread: int) -> None:
        for number in range(60):
            entries: list[Entry] = [rows(number, table_id=thread), CursorMove(thread, number)]
            entries += [rows(-number, table_id=thread)] * (number % 3)
            acked[thread].append((wal.submit(entries).result(30), number))

    with Wal.open(tmp_path, WalSettings(segment_bytes=32 << 10), on_commit=committed) as wal:
        threads = [threading.Thread(target=submit, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [frame.sequence for frame in committed] == list(range(1, 481))
    assert everything(tmp_path) == committed
    by_sequence = {frame.sequence: frame for frame in committed}
    for thread_number, pairs in enumerate(acked):
        assert all(one < other for one, other in pairwise(pairs))
        for sequence, number in pairs:
            frame = by_sequence[sequence]
            assert frame.entries[1] == CursorMove(thread_number, number)
            assert len(frame.entries) == 2 + number % 3


def test_segments_rotate_by_size_and_are_named_by_their_first_frame(tmp_path: Path) -> None:
    with Wal.open(tmp_path, SMALL, on_commit=ignore) as wal:
        sizes = [wal.submit([rows(number)]).result(30) for number in range(40)]
        assert wal.size_bytes == sum(frame.size for frame in everything(tmp_path))
    segments = list_segments(tmp_path)
    assert len(segments) > 5
    assert segments[0].first == 1
    for segment, following in pairwise(segments):
        assert following.first in sizes
        assert segment.path.stat().st_size <= 4096
        held = [frame.sequence for frame in replay(tmp_path, 0) if segment.first <= frame.sequence < following.first]
        assert held == list(range(segment.first, following.first))


def test_a_group_larger_than_a_segment_is_spread_over_several(tmp_path: Path) -> None:
    disk = GatedDisk()
    with Wal.open(tmp_path, SMALL, on_commit=ignore, disk=disk) as wal:
        disk.shut()
        futures = [wal.submit([rows(number)]) for number in range(50)]
        disk.gate.set()
        assert [future.result(30) for future in futures] == list(range(1, 51))
    assert values_of(everything(tmp_path)) == list(range(50))
    assert len(list_segments(tmp_path)) > 6


def test_a_frame_larger_than_a_segment_gets_its_own(tmp_path: Path) -> None:
    with Wal.open(tmp_path, SMALL, on_commit=ignore) as wal:
        wal.submit([rows(0)]).result(30)
        wal.submit([rows(*range(1, 2000))]).result(30)
        wal.submit([rows(2000)]).result(30)
    assert [segment.first for segment in list_segments(tmp_path)] == [1, 2, 3]
    assert values_of(everything(tmp_path)) == list(range(2001))


def test_reserved_space_is_given_back_at_rotation_and_at_the_end(tmp_path: Path) -> None:
    settings = WalSettings(segment_bytes=1 << 20)
    with Wal.open(tmp_path, settings, on_commit=ignore) as wal:
        size = segment_path(tmp_path, 1).stat().st_size
        assert size == 1 << 20
        wal.submit([rows(1)]).result(30)
        assert wal.size_bytes < 1000
    assert segment_path(tmp_path, 1).stat().st_size == everything(tmp_path)[0].size


def test_trim_deletes_the_segments_that_are_wholly_below(tmp_path: Path) -> None:
    with Wal.open(tmp_path, SMALL, on_commit=ignore) as wal:
        for number in range(1, 41):
            wal.submit([rows(number)]).result(30)
        firsts = [segment.first for segment in list_segments(tmp_path)]
        wal.trim(firsts[2] - 2)
        assert [segment.first for segment in list_segments(tmp_path)] == firsts[1:]
        wal.trim(firsts[2] - 1)
        assert [segment.first for segment in list_segments(tmp_path)] == firsts[2:]
        assert wal.first_retained_sequence == firsts[2]
        with pytest.raises(WalTrimmed, match=f"frame 1 was deleted; the oldest one retained is {firsts[2]}") as raised:
            wal.read(0, limit_bytes=1 << 20)
        assert raised.value.first_retained == firsts[2]
        assert wal.read(firsts[2] - 1, limit_bytes=1)[0].sequence == firsts[2]
        wal.trim(10_000)
        assert [segment.first for segment in list_segments(tmp_path)] == firsts[-1:]
        assert wal.size_bytes == sum(frame.size for frame in replay(tmp_path, firsts[-1] - 1))
        wal.submit([rows(41)]).result(30)
    assert values_of(replay(tmp_path, firsts[-1] - 1))[-1] == 41
    with Wal.open(tmp_path, SMALL, on_commit=ignore, first_sequence=40) as wal:
        assert wal.last_sequence == 41


def test_rows_read_from_a_segment_outlive_its_trimming(tmp_path: Path) -> None:
    with Wal.open(tmp_path, SMALL, on_commit=ignore) as wal:
        for number in range(1, 41):
            wal.submit([rows(number)]).result(30)
        held = wal.read(0, limit_bytes=1 << 20)
        wal.trim(40)
        assert values_of(held) == [frame.sequence for frame in held]


def test_a_log_is_open_once(tmp_path: Path) -> None:
    with Wal.open(tmp_path, on_commit=ignore):
        with pytest.raises(WalLocked, match="is in use by another headrace process"):
            Wal.open(tmp_path, on_commit=ignore)
        script = (
            "import sys; from pathlib import Path\n"
            "from headrace.wal.errors import WalLocked; from headrace.wal.writer import Wal\n"
            "try: Wal.open(Path(sys.argv[1]), on_commit=print)\n"
            "except WalLocked: sys.exit(17)\n"
        )
        assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], timeout=60, check=False).returncode == 17
    Wal.open(tmp_path, on_commit=ignore).close()


def test_a_directory_that_cannot_be_made_fails_typed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WalFailed, match="cannot be opened"):
        Wal.open(tmp_path / "file" / "wal", on_commit=ignore)


def test_closing_makes_everything_queued_durable_and_refuses_what_comes_later(tmp_path: Path) -> None:
    disk = GatedDisk()
    wal = Wal.open(tmp_path, on_commit=ignore, disk=disk)
    disk.shut()
    futures = [wal.submit([rows(number)]) for number in range(10)]
    closer = threading.Thread(target=wal.close)
    closer.start()
    disk.gate.set()
    closer.join(30)
    assert [future.result(0) for future in futures] == list(range(1, 11))
    wal.close()
    with pytest.raises(WalClosed, match="the write-ahead log is closed"):
        wal.submit([rows(11)])
    with pytest.raises(WalClosed):
        wal.reserve()


def test_a_submission_s_future_cannot_be_cancelled(tmp_path: Path) -> None:
    with Wal.open(tmp_path, on_commit=ignore) as wal:
        future = wal.submit([rows(1)])
        assert not future.cancel()
        assert future.result(30) == 1


def test_a_failing_on_commit_stops_the_log_and_fails_the_writes(tmp_path: Path) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("a bug")

    wal = Wal.open(tmp_path, on_commit=broken)
    with pytest.raises(WalFailed, match="the write-ahead log stopped: ZeroDivisionError"):
        wal.submit([rows(1)]).result(30)
    with pytest.raises(WalFailed, match="stopped"):
        wal.submit([rows(2)])
    assert wal.failure is not None
    wal.close()


# Truncation at every byte: what a crash in the middle of a write leaves behind.


@pytest.mark.parametrize("preallocate", [False, True])
def test_a_log_cut_at_any_byte_keeps_its_whole_frames_and_goes_on(tmp_path: Path, preallocate: bool) -> None:
    frames = write_segment(tmp_path / "whole", [[1], [2, 3], [4]])
    data = segment_path(tmp_path / "whole", 1).read_bytes()
    starts = offsets(frames)
    settings = WalSettings(segment_bytes=len(data) + 2048, preallocate=preallocate)
    (tmp_path / "cut").mkdir()
    path = segment_path(tmp_path / "cut", 1)
    for size in range(len(data) + 1):
        cut = data[:size] + bytes(512 if preallocate else 0)  # reserved, unwritten space reads as zeros
        path.unlink(missing_ok=True)
        path.write_bytes(cut)
        whole = sum(cut[:end] == data[:end] for end in starts[1:])
        kept = Committed(replay(tmp_path / "cut", 0))
        assert kept == frames[:whole]
        with Wal.open(tmp_path / "cut", settings, on_commit=kept, disk=UnsyncedDisk()) as wal:
            assert wal.submit(assorted(99)).result(30) == whole + 1
            assert wal.submit(assorted(3)).result(30) == whole + 2
        assert everything(tmp_path / "cut") == kept
        numbers = [*range(1, whole + 1), 99, 3]
        assert [frame.entries for frame in kept] == [assorted(number) for number in numbers]


def test_a_torn_frame_s_successor_does_not_come_back_when_its_place_is_written_again(tmp_path: Path) -> None:
    frames = write_segment(tmp_path, [[4], [5, 6, 7]], preallocate=8192)
    assert frames[1].size == frames[2].size, "the next frame is where the reader of its forerunner looks"
    path = segment_path(tmp_path, 4)
    path.write_bytes(flip(path.read_bytes(), offsets(frames)[1] + 44))
    with Wal.open(tmp_path, on_commit=ignore) as wal:
        assert wal.submit(assorted(5)).result(30) == 5
        assert list(replay(tmp_path, 3)) == frames[:2]


def test_a_flip_in_the_middle_of_a_log_stops_its_opening_and_salvaging_goes_on(tmp_path: Path) -> None:
    frames = write_segment(tmp_path / "whole", [[1], [2], [3]])
    data = segment_path(tmp_path / "whole", 1).read_bytes()
    starts = offsets(frames)
    for offset in range(starts[2]):
        hit = 0 if offset < starts[1] else 1
        hurt = tmp_path / f"hurt{offset}"
        hurt.mkdir()
        path = segment_path(hurt, 1)
        path.write_bytes(flip(data, offset, offset % 8))
        with pytest.raises(
            WalDamaged, match=rf"{path} is damaged at offset {starts[hit]}: .*frame {hit + 1} cannot be"
        ):
            Wal.open(hurt, on_commit=ignore)
        with Wal.open(hurt, WalSettings(preallocate=False, salvage=True), on_commit=ignore, disk=UnsyncedDisk()) as wal:
            assert wal.submit(assorted(4)).result(30) == 4
            assert [frame.sequence for frame in wal.read(hit + 1, limit_bytes=1 << 20)][:1] == [hit + 2]
        assert path.read_bytes() == flip(data, offset, offset % 8), "damage is never written over"
        salvaged = replay(hurt, 0, salvage=True)
        assert [frame.sequence for frame in salvaged] == [n for n in (1, 2, 3, 4) if n != hit + 1]
        assert [(skip.segment, skip.offset, skip.first, skip.last) for skip in salvaged.skipped] == [
            (path, starts[hit], hit + 1, hit + 1)
        ]


def test_a_log_that_ends_before_what_was_persisted_is_refused(tmp_path: Path) -> None:
    write_segment(tmp_path, [[1], [2], [3]])
    with pytest.raises(WalDamaged, match="ends with frame 3, but frames up to 9 were persisted"):
        Wal.open(tmp_path, on_commit=ignore, first_sequence=10)
    with Wal.open(tmp_path, WalSettings(salvage=True), on_commit=ignore, first_sequence=10) as wal:
        assert wal.submit([rows(1)]).result(30) == 10
    assert [frame.sequence for frame in replay(tmp_path, 9)] == [10]


def test_a_salvaged_log_does_not_give_out_a_number_twice(tmp_path: Path) -> None:
    frames = write_segment(tmp_path, [[1], [2], [3], [4]])
    path = segment_path(tmp_path, 1)
    starts = offsets(frames)
    path.write_bytes(flip(flip(path.read_bytes(), starts[2] + 45), starts[3] + 45))
    with pytest.raises(WalDamaged, match=f"offset {starts[2]}.*frames 3 to 4"):
        Wal.open(tmp_path, on_commit=ignore)
    with Wal.open(tmp_path, WalSettings(salvage=True), on_commit=ignore) as wal:
        assert wal.submit([rows(1)]).result(30) == 5
    salvaged = replay(tmp_path, 0, salvage=True)
    assert [frame.sequence for frame in salvaged] == [1, 2, 5]


def test_large_and_small_frames_come_back_unmixed(tmp_path: Path) -> None:
    committed = Committed()
    with Wal.open(tmp_path, WalSettings(segment_bytes=1 << 20), on_commit=committed) as wal:
        futures = [wal.submit([Rows(7, batch(*range(size)))]) for size in (1, 50_000, 3, 20_000, 1, 1, 100_000)]
        for future in futures:
            future.result(30)
    assert everything(tmp_path) == committed
    assert len(values_of(committed)) == 170_006
