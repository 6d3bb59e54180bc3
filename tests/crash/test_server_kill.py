"""The whole server under kill -9: every acknowledged row is there after the restart, once, as it was written."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.crash.rounds import Tally, lives, seed, soak_rounds
from tests.crash.server_rounds import ServerRounds


@pytest.mark.timeout(300)
def test_a_killed_server_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    rounds = ServerRounds(tmp_path, random.Random(seed()))
    verdict = rounds.run(12, seconds=0.6)
    print(f"{rounds.rounds} rounds: {verdict}; slowest start {rounds.slowest_start:.1f} s")
    assert verdict.acked > 0


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_hundreds_of_killed_servers_lose_nothing_they_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(seed())
    tally = Tally("kill -9 of the server")
    for life, length in enumerate(lives(soak_rounds(300), 20)):
        rounds = ServerRounds(tmp_path / str(life), chance)
        tally.verdicts.append(rounds.run(length, seconds=2.0))
        tally.rounds += rounds.rounds
        shutil.rmtree(tmp_path / str(life))
        print(f"{tally}; slowest start {rounds.slowest_start:.1f} s", flush=True)
