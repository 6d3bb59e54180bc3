"""How many rounds a crash test runs, and what it prints about them."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.crash.ledger import Verdict

ROUNDS_VARIABLE = "HEADRACE_CRASH_ROUNDS"
SEED_VARIABLE = "HEADRACE_CRASH_SEED"


def soak_rounds(default: int) -> int:
    """The rounds of a soak run: from the environment, or ``default``."""
    return int(os.environ.get(ROUNDS_VARIABLE, default))


def seed() -> int:
    """A new seed each run, printed, unless the environment gives one."""
    chosen = int(os.environ.get(SEED_VARIABLE, random.SystemRandom().randrange(2**32)))
    print(f"{SEED_VARIABLE}={chosen}")
    return chosen


def lives(rounds: int, length: int) -> Iterator[int]:
    """``rounds`` split into lives of a data directory, ``length`` rounds each, so that it does not grow for ever."""
    while rounds > 0:
        yield min(rounds, length)
        rounds -= length


@dataclass
class Tally:
    """Sums over the lives of a run: what a soak reports at its end."""

    name: str
    rounds: int = 0
    verdicts: list[Verdict] = field(default_factory=list)

    def __str__(self) -> str:
        def total(what: str) -> int:
            return sum(getattr(verdict, what) for verdict in self.verdicts)

        return (
            f"{self.name}: {self.rounds} rounds, {total('writes')} writes, {total('acked')} rows acked, "
            f"{total('lost') + total('hasty_lost')} lost, {total('doubled')} doubled, {total('torn')} torn, "
            f"{total('invented')} invented"
        )
