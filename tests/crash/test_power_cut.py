"""The log under power cuts: whatever the disk made of the writes it had not synced, nothing acked is missing."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from headrace.wal.entry import CatalogChange, Entry, Frame, Rows
from headrace.wal.replay import replay
from headrace.wal.writer import Wal, WalSettings

from tests.crash.power_cut import Call, CutDisk, PowerCut, contents
from tests.crash.rounds import lives, seed, soak_rounds
from tests.wal.samples import rows


@dataclass
class Truth:
    """What must be and what must not be in the log after a cut, by the numbers the test wrote."""

    must: set[int] = field(default_factory=set)
    must_not: set[int] = field(default_factory=set)
    trimmed: int = 0
    """Frames up to this sequence were deleted on purpose, or may have been."""
    last: int = 0
    """The highest sequence that is certain."""

    def learn(self, journal: list[Call]) -> None:
        for call in journal:
            if call.kind == "acked":
                self.must.add(call.number)
            elif call.kind == "refused":
                self.must_not.add(call.number)
            elif call.kind == "trim":
                self.trimmed = call.number
            elif call.kind == "committed":
                self.last = call.number


class Machine:
    """A log whose machine loses its power again and again."""

    def __init__(self, root: Path, chance: random.Random) -> None:
        self.root = root
        self.chance = chance
        self.generation = 0
        self.truth = Truth()
        self.number = 0
        self.values: dict[int, list[int]] = {}
        """The numbers in every frame that survived a cut, by sequence."""
        self.directory.mkdir()

    @property
    def directory(self) -> Path:
        return self.root / str(self.generation)

    def live(self, steps: int) -> tuple[dict[str, bytes], list[Call]]:
        """Write, trim and fail for a while; returns the files before it and everything that happened."""
        before = contents(self.directory)
        disk = CutDisk(self.chance, full=self.chance.choice([0.0, 0.1]))
        settings = WalSettings(
            segment_bytes=self.chance.choice([1, 3000, 20_000]),
            tail_bytes=0,
            preallocate=self.chance.random() < 0.5,
            group_count=self.chance.choice([1, 3, 100]),
        )
        wal = Wal.open(
            self.directory,
            settings,
            on_commit=lambda frames: disk.note("committed", frames[-1].sequence),
            first_sequence=self.truth.trimmed + 1,
            disk=disk,
        )
        pending: list[Future[int]] = []
        for _ in range(steps):
            self.number += 1
            size = self.chance.choice([1, 1, 5, 200])
            hasty = self.chance.random() < 0.2
            entries: list[Entry] = [CatalogChange({"number": self.number}), rows(*[self.number] * size)]
            pending.append(wal.submit(entries[self.chance.randrange(2) :], sync=not hasty))
            pending[-1].add_done_callback(self._book(disk, self.number, hasty))
            if self.chance.random() < 0.3:
                for future in pending:
                    future.exception(30)
                pending.clear()
            if self.chance.random() < 0.05 and wal.last_sequence:
                disk.note("trim", through := wal.last_sequence)
                wal.trim(through)
        wal.close()
        return before, disk.journal

    @staticmethod
    def _book(disk: CutDisk, number: int, hasty: bool) -> Callable[[Future[int]], None]:
        def book(future: Future[int]) -> None:
            if future.exception() is not None:
                disk.note("refused", number)
            elif not hasty:
                disk.note("acked", number)

        return book

    def cut(self, before: dict[str, bytes], journal: list[Call]) -> None:
        """Lose power somewhere in ``journal``, look at what is left, and go on with that."""
        journal = journal[: self.chance.randrange(len(journal) + 1)]
        self.generation += 1
        PowerCut(before, journal).leave(self.directory, self.chance)
        self.truth.learn(journal)
        frames = list(replay(self.directory, self.truth.trimmed))
        sequences = [frame.sequence for frame in frames]
        assert sequences == list(range(self.truth.trimmed + 1, self.truth.trimmed + 1 + len(frames)))
        assert self.truth.trimmed + len(frames) >= self.truth.last
        self.truth.last = self.truth.trimmed + len(frames)
        for frame in frames:
            assert self.values.setdefault(frame.sequence, numbers(frame)) == numbers(frame)
        found = [number for frame in frames for number in numbers(frame)]
        assert found == sorted(set(found)), "out of order, or twice"
        missing = self.truth.must - set(found) - self._kept_before(self.truth.trimmed)
        # Acked and trimmed between two cuts, so that no replay ever saw them: older than everything left.
        assert not missing or (self.truth.trimmed and max(missing) < min(found, default=self.number + 1))
        assert not self.truth.must_not & set(found)
        self.truth.must_not |= set(range(1, self.number + 1)) - set(found) - self.truth.must

    def _kept_before(self, sequence: int) -> set[int]:
        """What earlier replays found in frames up to ``sequence``."""
        return {number for key, held in self.values.items() if key <= sequence for number in held}


def numbers(frame: Frame) -> list[int]:
    """The numbers whose rows are in a frame, without the catalog changes carried over from refused ones."""
    return [entry.batch.column("value")[0].as_py() for entry in frame.entries if isinstance(entry, Rows)]


def run(root: Path, cuts: int, chance: random.Random) -> int:
    root.mkdir()
    machine = Machine(root, chance)
    for _ in range(cuts):
        before, journal = machine.live(chance.choice([1, 10, 40]))
        machine.cut(before, journal)
    return len(machine.truth.must)


@pytest.mark.parametrize("machine", range(12))
def test_a_power_cut_loses_nothing_that_was_acked(tmp_path: Path, machine: int) -> None:
    chance = random.Random(f"{seed()} {machine}")
    assert run(tmp_path / "machine", 12, chance) > 0


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_thousands_of_power_cuts_lose_nothing_that_was_acked(tmp_path: Path) -> None:
    chance = random.Random(seed())
    acked, cuts = 0, 0
    for life, length in enumerate(lives(10 * soak_rounds(300), 50)):
        acked += run(tmp_path / str(life), length, chance)
        cuts += length
        shutil.rmtree(tmp_path / str(life))
    print(f"power cuts: {cuts} rounds, {acked} writes acked, 0 lost, 0 doubled")
