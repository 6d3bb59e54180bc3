from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from headrace.wal.disk import Disk, PartialWrite, write_all
from headrace.wal.entry import CatalogChange, CursorMove, Frame
from headrace.wal.errors import WalFailed
from headrace.wal.frame import MAX_ENTRIES
from headrace.wal.replay import replay
from headrace.wal.segment import list_segments, segment_path
from headrace.wal.writer import Wal, WalSettings

from tests.wal.faulty_disk import FaultyDisk
from tests.wal.samples import rows, values_of

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
BROKEN = OSError(errno.EIO, os.strerror(errno.EIO))


class Log:
    """A log on a faulty disk, and what it committed."""

    def __init__(self, directory: Path, settings: WalSettings) -> None:
        self.directory = directory
        self.disk = FaultyDisk()
        self.committed: list[Frame] = []
        self.wal = Wal.open(directory, settings, on_commit=self.committed.extend, disk=self.disk)

    def on_disk(self) -> list[Frame]:
        return list(replay(self.directory, 0))

    def reopened(self) -> list[Frame]:
        Wal.open(self.directory, on_commit=self.committed.extend).close()
        return self.on_disk()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path, WalSettings(preallocate=False))


def refused(action: Callable[[], object], message: str) -> None:
    with pytest.raises(WalFailed, match=message):
        action()


def test_writing_goes_on_after_short_writes(log: Log) -> None:
    log.disk.longest_write = 37
    assert log.wal.submit([rows(*range(50))]).result(30) == 1
    log.wal.close()
    assert values_of(log.on_disk()) == list(range(50))


def test_more_pieces_than_one_call_takes_are_written(tmp_path: Path) -> None:
    disk = Disk()
    descriptor = disk.open(tmp_path / "file", create=True)
    pieces = [bytes([index % 251]) * (index % 5) for index in range(5_000)]
    assert write_all(disk, descriptor, pieces, 10) == sum(map(len, pieces))
    disk.close(descriptor)
    assert (tmp_path / "file").read_bytes() == bytes(10) + b"".join(pieces)


def test_a_disk_that_takes_nothing_is_an_error_and_not_an_endless_loop(tmp_path: Path) -> None:
    disk = FaultyDisk()
    disk.longest_write = 0
    descriptor = disk.open(tmp_path / "file", create=True)
    with pytest.raises(PartialWrite) as raised:
        write_all(disk, descriptor, [b"abc"], 0)
    assert raised.value.written == 0
    disk.close(descriptor)


@pytest.mark.parametrize("room", [0, 1, 39, 40, 41, 300])
def test_a_full_disk_refuses_the_write_leaves_nothing_of_it_and_recovers(log: Log, room: int) -> None:
    log.wal.submit([rows(1)]).result(30)
    size = log.wal.size_bytes
    log.disk.room = room
    refused(lambda: log.wal.submit([rows(2)]).result(30), "cannot be written: .*No space left on device")
    assert log.wal.size_bytes == size == segment_path(log.directory, 1).stat().st_size
    assert log.wal.failure is None
    log.disk.room = None
    assert log.wal.submit([rows(3)]).result(30) == 2
    log.wal.close()
    assert values_of(log.on_disk()) == values_of(log.committed) == [1, 3]


def test_of_a_group_that_does_not_fit_the_whole_frames_stay(log: Log) -> None:
    log.wal.submit([rows(0)]).result(30)
    log.disk.room = 3 * log.committed[0].size + 10
    futures = [log.wal.submit([rows(number)]) for number in range(1, 11)]
    assert [future.exception(30) is None for future in futures] == [True] * 3 + [False] * 7
    log.disk.room = None
    assert log.wal.submit([rows(99)]).result(30) == 5
    log.wal.close()
    assert values_of(log.on_disk()) == values_of(log.committed) == [0, 1, 2, 3, 99]


def test_catalog_changes_of_a_refused_frame_travel_in_the_next_one(log: Log) -> None:
    log.disk.room = 0
    first, second = CatalogChange({"create": "t1"}), CatalogChange({"create": "t2"})
    refused(lambda: log.wal.submit([first, rows(1)]).result(30), "No space")
    refused(lambda: log.wal.submit([second]).result(30), "No space")
    refused(lambda: log.wal.submit([rows(2)]).result(30), "No space")
    log.disk.room = None
    assert log.wal.submit([rows(3)]).result(30) == 1
    assert log.wal.submit([rows(4)]).result(30) == 2
    log.wal.close()
    assert [frame.entries for frame in log.on_disk()] == [(first, second, rows(3)), (rows(4),)]
    assert log.committed == log.on_disk()


def test_carried_catalog_changes_are_written_when_the_log_closes(log: Log) -> None:
    log.disk.room = 0
    change = CatalogChange({"create": "t1"})
    refused(lambda: log.wal.submit([change, rows(1)]).result(30), "No space")
    log.disk.room = None
    log.wal.close()
    assert [frame.entries for frame in log.on_disk()] == [(change,)]


def test_carried_catalog_changes_get_a_frame_of_their_own_before_one_that_is_full(log: Log) -> None:
    log.disk.room = 0
    change = CatalogChange({"create": "t1"})
    refused(lambda: log.wal.submit([change]).result(30), "No space")
    log.disk.room = None
    moves = [CursorMove(1, 1)] * MAX_ENTRIES
    assert log.wal.submit(moves).result(30) == 2
    assert log.wal.submit([rows(1)]).result(30) == 3
    log.wal.close()
    assert [len(frame.entries) for frame in log.on_disk()] == [1, MAX_ENTRIES, 1]
    assert log.on_disk()[0].entries == (change,)


def test_a_write_that_cannot_be_taken_back_stops_the_log(log: Log) -> None:
    log.wal.submit([rows(1)]).result(30)
    log.disk.room, log.disk.truncate_error = 100, BROKEN
    refused(lambda: log.wal.submit([rows(2)]).result(30), "cannot be cut back after a failed write: .*Input/output")
    log.disk.room, log.disk.truncate_error = None, None
    refused(lambda: log.wal.submit([rows(3)]), "cannot be cut back")
    log.wal.close()
    assert values_of(log.reopened()) == [1]


def test_a_failed_sync_stops_the_log_for_good(log: Log) -> None:
    log.wal.submit([rows(1)]).result(30)
    log.disk.sync_error = BROKEN
    refused(lambda: log.wal.submit([rows(2)]).result(30), "cannot be synced: .*restart to go on with what is on disk")
    log.disk.sync_error = None
    refused(lambda: log.wal.submit([rows(3)]), "cannot be synced")
    refused(log.wal.reserve, "cannot be synced")
    assert log.wal.failure is not None
    assert log.wal.last_sequence == 1
    assert values_of(log.committed) == [1]
    log.wal.close()
    # The refused frame may be there after all: refused means unknown, as for every database. It is whole, and once.
    assert values_of(log.reopened()) == [1, 2]


def test_everything_queued_fails_with_a_failed_sync(log: Log) -> None:
    log.disk.sync_error = BROKEN
    futures = []
    for number in range(50):
        try:
            futures.append(log.wal.submit([rows(number)]))
        except WalFailed:
            break
    assert futures
    for future in futures:
        refused(lambda future=future: future.result(30), "cannot be synced")  # type: ignore[misc]
    log.wal.close()
    assert log.committed == []


@pytest.mark.parametrize("fault", ["open_error", "allocate_error", "sync_error"])
def test_a_segment_that_cannot_be_created_refuses_the_write_and_leaves_no_file(tmp_path: Path, fault: str) -> None:
    log = Log(tmp_path, WalSettings(segment_bytes=700))
    log.wal.submit([rows(1)]).result(30)
    setattr(log.disk, fault, FULL)
    refused(lambda: log.wal.submit([rows(2)]).result(30), "a new segment .* cannot be created: .*No space")
    setattr(log.disk, fault, None)
    assert len(list_segments(tmp_path)) == 1
    assert log.wal.failure is None
    assert log.wal.submit([rows(3)]).result(30) == 2
    log.wal.close()
    assert values_of(log.on_disk()) == [1, 3]


def test_a_segment_that_cannot_be_created_nor_removed_stops_the_log(tmp_path: Path) -> None:
    log = Log(tmp_path, WalSettings(segment_bytes=1300))
    log.wal.submit([rows(1)]).result(30)
    log.disk.allocate_error, log.disk.unlink_error = FULL, BROKEN
    refused(lambda: log.wal.submit([rows(*range(2, 100))]).result(30), "a new segment .* cannot be created")
    log.disk.allocate_error, log.disk.unlink_error = None, None
    refused(lambda: log.wal.submit([CursorMove(1, 1)]).result(30), "a new segment .* cannot be created")
    log.wal.close()
    assert values_of(log.reopened()) == [1]


@pytest.mark.parametrize("fault", ["open_error", "allocate_error", "sync_error"])
def test_a_log_that_cannot_be_opened_fails_typed_and_is_not_left_locked(tmp_path: Path, fault: str) -> None:
    disk = FaultyDisk()
    setattr(disk, fault, FULL)
    with pytest.raises(WalFailed, match=r"cannot be opened: .*No space"):
        Wal.open(tmp_path, on_commit=print, disk=disk)
    setattr(disk, fault, None)
    Wal.open(tmp_path, on_commit=print, disk=disk).close()
    setattr(disk, fault, FULL)
    with pytest.raises(WalFailed, match=r"cannot be opened: .*No space"):
        Wal.open(tmp_path, on_commit=print, disk=disk)
    setattr(disk, fault, None)
    Wal.open(tmp_path, on_commit=print, disk=disk).close()


def test_a_file_system_that_cannot_reserve_space_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    with Wal.open(tmp_path, on_commit=print) as wal:
        assert wal.submit([CursorMove(1, 1)]).result(30) == 1


def test_a_write_acked_without_sync_is_kept_if_the_disk_kept_it(log: Log) -> None:
    log.disk.sync_error = BROKEN
    assert log.wal.submit([rows(1)], sync=False).result(30) == 1
    log.wal.close()
    assert values_of(log.reopened()) == [1]
