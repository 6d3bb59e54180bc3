from __future__ import annotations

from pathlib import Path

import pytest
from headrace.storage.disk_space import DiskSpace, Space
from headrace.storage.errors import DiskFull

MB = 1 << 20


class Disk:
    """A file system and a clock that stand where they are put."""

    def __init__(self, size: int, free: int) -> None:
        self.space = Space(size, free)
        self.now = 0.0
        self.looks = 0

    def measure(self, _: Path) -> Space:
        self.looks += 1
        return self.space

    def watched(self, reserve: int | None = None) -> DiskSpace:
        return DiskSpace(Path(), reserve, measure=self.measure, clock=lambda: self.now)


@pytest.mark.parametrize(
    ("size", "reserve"), [(1000 * MB, 50 * MB), (1 << 40, 256 * MB), (0, 0)], ids=["small", "large", "unknown"]
)
def test_the_default_is_a_share_of_a_small_disk_and_no_more_than_a_persist_takes(size: int, reserve: int) -> None:
    Disk(size, reserve).watched().admit(1)
    if reserve:
        with pytest.raises(DiskFull, match=f"{reserve >> 20} MB"):
            Disk(size, reserve - 1).watched().admit(1)
    assert DiskFull.status == 503


def test_the_disk_is_looked_at_once_a_second_and_before_the_reserve_can_be_written() -> None:
    disk = Disk(1000 * MB, 100 * MB)
    watched = disk.watched(8 * MB)
    for _ in range(1000):
        watched.admit(1)
    assert disk.looks == 1
    watched.admit(MB)
    assert disk.looks == 2
    disk.space = Space(1000 * MB, 0)
    watched.admit(1)
    disk.now += 1.0
    assert watched.is_short()
    with pytest.raises(DiskFull):
        watched.admit(1)


def test_writes_are_accepted_again_as_soon_as_there_is_room(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk(1000 * MB, 0)
    watched = disk.watched()
    for _ in range(3):
        with pytest.raises(DiskFull):
            watched.admit(1)
    disk.space = Space(1000 * MB, 500 * MB)
    watched.look()
    watched.admit(1)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "the disk of the data directory is full",
        "the disk has room again",
    ]


def test_a_file_system_that_cannot_be_asked_stops_nobody(tmp_path: Path) -> None:
    DiskSpace(tmp_path / "nowhere", 1 << 62).admit(1)
