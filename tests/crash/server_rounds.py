"""Rounds of writing to a real server, killing it, starting it again, and comparing what it has.

``ServerRounds`` is the frame for every test of this kind: subclasses add what they want on the server in
``prepare``, and judge it in ``examine``.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from headrace.storage.check import check as check_store
from headrace.wal.check import check as check_log

from tests.crash.ledger import Ledger, Verdict
from tests.crash.numbered_rows import read_back
from tests.crash.writers import Writers
from tests.harness import ServerProcess

# So small that every round rotates segments and persists many times.
OPTIONS = ("--wal-segment-size", "64kb", "--wal-persist-size", "512kb")


class ServerRounds:
    """One data directory, through the lives and deaths of its server."""

    def __init__(self, directory: Path, chance: random.Random, *options: str) -> None:
        self.server = ServerProcess(directory, *OPTIONS, *options)
        self.ledger = Ledger()
        self.chance = chance
        self.rounds = 0
        self.slowest_start = 0.0
        """Seconds from starting a killed server to its first answer."""

    def prepare(self) -> None:
        """Called once, before anything is written."""

    def examine(self) -> Verdict:
        """Called after each restart, before anything is written again."""
        numbers, wrong = read_back(self.server)
        return self.ledger.compare(numbers, wrong)

    def run(self, rounds: int, *, seconds: float = 1.0) -> Verdict:
        """Kill the server ``rounds`` times, each within ``seconds`` of its first acknowledgement.

        Raises AssertionError with the server's log as soon as a verdict is not clean.
        """
        assert rounds > 0
        with self.server:
            self.prepare()
            for _ in range(rounds):
                self.rounds += 1
                self._write_and_kill(self.chance.uniform(0, seconds))
                self._check_files()
                self._start_again()
                verdict = self.examine()
                assert verdict.clean, f"round {self.rounds}: {verdict}\n{self.server.log[-20_000:]}"
        self._check_files(deep=True)
        return verdict

    def _write_and_kill(self, seconds: float) -> None:
        with Writers(self.server, self.ledger, self.chance) as writers:
            assert writers.first_ack.wait(60), f"no write was acknowledged: {writers.refused[:3]}"
            time.sleep(seconds)
            self.server.kill9()

    def _check_files(self, *, deep: bool = False) -> None:
        """What ``headrace check`` says about the files of the server that has just died, or ended."""
        findings = [*check_log(self.server.data_dir), *check_store(self.server.data_dir, deep=deep)]
        assert findings == [], f"round {self.rounds}: {[str(finding) for finding in findings]}"

    def _start_again(self) -> None:
        while self.chance.random() < 0.25:
            # Killed again while it starts: replay itself must survive that.
            self.server.start(wait=False)
            time.sleep(self.chance.uniform(0, 1.5))
            self.server.kill9()
        started = time.monotonic()
        self.server.start()
        self.slowest_start = max(self.slowest_start, time.monotonic() - started)
