"""The log alone under kill -9: a child process appends, dies at a random moment, and its log is read back."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from headrace.wal.check import check_log
from headrace.wal.entry import CatalogChange, Rows
from headrace.wal.replay import replay

from tests.crash.ledger import Ledger, Verdict, Write
from tests.crash.rounds import Tally, lives, seed, soak_rounds

ROOT = Path(__file__).parents[2]


class KilledLog:
    """A log directory through the lives and deaths of the processes that write it."""

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self.directory = directory
        self.chance = chance
        self.ledger = Ledger()
        self.trimmed = 0
        """Frames up to this one may have been deleted: what was in them counts as kept."""
        self.frames: dict[int, list[int]] = {}
        """The rows of every frame ever seen or acked, by sequence."""

    def run_and_kill(self, seconds: float) -> None:
        """Let a child write for ``seconds`` after its first acknowledgement, kill it, and book what it said."""
        command = (sys.executable, "-m", "tests.crash.log_child", str(self.directory))
        arguments = (str(self.ledger.rows), str(self.chance.randrange(2**32)))
        child = subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE)
        assert child.stdout is not None
        killer: subprocess.Popen[bytes] | None = None
        sent: dict[int, Write] = {}
        booked: list[list[int]] = []
        acked: list[tuple[int, int]] = []
        with child:
            for line in child.stdout:
                word, *values = line.split()
                numbers = [int(value) for value in values]
                if word == b"sent":
                    booked.append(numbers)
                elif word == b"acked":
                    acked.append((numbers[0], numbers[1]))
                    if killer is None:
                        killer = subprocess.Popen(["sh", "-c", f"sleep {seconds:.4f}; kill -9 {child.pid}"])
                else:
                    self.trimmed = numbers[0]
        assert killer is not None, "the child died before its first acknowledgement"
        killer.wait()
        for first, rows, hasty in sorted(booked):
            # Threads draw their numbers in one order and speak in another; a killed thread may not speak at all.
            if first > self.ledger.rows:
                self.ledger.begin(first - self.ledger.rows)
            sent[first] = self.ledger.begin(rows, hasty=bool(hasty))
            assert sent[first].first == first
        for first, sequence in acked:
            self.ledger.ack(sent[first])
            self.frames[sequence] = list(sent[first].numbers)

    def compare(self) -> Verdict:
        """Replay what is there, and judge it together with what was trimmed on purpose."""
        log = replay(self.directory, self._oldest() - 1)
        found: list[int] = []
        sequences: list[int] = []
        for frame in log:
            change, rows = frame.entries
            assert isinstance(change, CatalogChange)
            assert isinstance(rows, Rows)
            numbers = rows.batch.column("row").to_pylist()
            assert numbers == list(range(change.record["first"], change.record["first"] + len(numbers)))
            assert self.frames.setdefault(frame.sequence, numbers) == numbers, "a sequence now holds other rows"
            found += numbers
            sequences.append(frame.sequence)
        assert log.skipped == []
        if sequences:
            assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
            assert sequences[0] <= self.trimmed + 1
            for sequence, numbers in self.frames.items():
                if sequence < sequences[0]:
                    found += numbers
        return self.ledger.compare(np.array(found, np.int64))

    def _oldest(self) -> int:
        return min((int(path.stem) for path in self.directory.glob("*.wal")), default=1)


def run(directory: Path, rounds: int, chance: random.Random) -> tuple[int, Verdict]:
    log = KilledLog(directory, chance)
    for number in range(1, rounds + 1):
        log.run_and_kill(chance.choice([0.0, 0.01, 0.1, 0.3]) * chance.random())
        verdict = log.compare()
        assert verdict.clean, f"round {number}: {verdict}"
        assert check_log(directory).findings == []
    return rounds, verdict


def test_a_killed_process_loses_nothing_it_acked(tmp_path: Path) -> None:
    rounds, verdict = run(tmp_path / "wal", 8, random.Random(seed()))
    print(f"{rounds} rounds: {verdict}")
    assert verdict.acked > 0


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_hundreds_of_killed_processes_lose_nothing_they_acked(tmp_path: Path) -> None:
    chance = random.Random(seed())
    tally = Tally("kill -9 of the log")
    for life, rounds in enumerate(lives(soak_rounds(300), 25)):
        done, verdict = run(tmp_path / str(life), rounds, chance)
        tally.rounds += done
        tally.verdicts.append(verdict)
        shutil.rmtree(tmp_path / str(life))
        print(tally, flush=True)
