"""What was written, what was acknowledged, and whether what is found after a crash agrees with it.

Every row has a number of its own, and its other columns follow from the number. A *write* is a run of
numbers sent as one atomic request. Used by every crash test, whatever stands between the writer and the
disk; safe to use from many threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Write:
    """Rows ``first`` to ``first + rows - 1``, sent together."""

    first: int
    rows: int
    hasty: bool
    """Sent with ``no_sync``: acknowledged before it was synced."""
    acked: bool = False
    found: bool | None = None
    """Whether it was there after the last crash; None before that."""

    @property
    def numbers(self) -> range:
        return range(self.first, self.first + self.rows)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one comparison found. Everything below ``acked`` counts what must not happen."""

    writes: int
    acked: int
    """Acknowledged rows, hasty ones included."""
    lost: int
    """Rows acknowledged, or there after an earlier crash, and now missing."""
    hasty_lost: int
    """The same for rows acknowledged before their sync: a killed process must not lose these either."""
    doubled: int
    """Rows that are there more than once."""
    torn: int
    """Writes of which some rows are there and some are not."""
    invented: int
    """Rows that were never sent, with wrong values, or that came back after they had been missing."""

    @property
    def clean(self) -> bool:
        return not (self.lost or self.hasty_lost or self.doubled or self.torn or self.invented)

    def __str__(self) -> str:
        return (
            f"{self.writes} writes, {self.acked} rows acked, {self.lost} lost, {self.hasty_lost} lost of no_sync, "
            f"{self.doubled} doubled, {self.torn} torn writes, {self.invented} invented"
        )


@dataclass
class Ledger:
    """The writes of one database, in the order in which they were begun."""

    writes: list[Write] = field(default_factory=list)
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, rows: int, *, hasty: bool = False) -> Write:
        """A write about to be sent: from now on its rows may turn up."""
        with self._lock:
            write = Write(self._next, rows, hasty)
            self._next += rows
            self.writes.append(write)
            return write

    def ack(self, write: Write) -> None:
        """The write was acknowledged: from now on its rows must turn up, for ever."""
        write.acked = True

    @property
    def rows(self) -> int:
        """Rows begun so far: the number of the next one."""
        return self._next

    @property
    def acked_rows(self) -> int:
        return sum(write.rows for write in list(self.writes) if write.acked)

    def compare(self, numbers: NDArray[np.int64], wrong: int = 0) -> Verdict:
        """Judge the row ``numbers`` found after a crash; ``wrong`` of them had wrong values.

        Nobody may be writing. What was found has been seen, and must be there from now on; what was not
        found must not come back.
        """
        known = numbers[(numbers >= 0) & (numbers < self._next)]
        counts = np.bincount(known, minlength=self._next)
        lost = hasty_lost = torn = invented = 0
        for write, there in self._there(counts):
            missing = write.rows - there
            torn += 0 < there < write.rows
            if write.found is False:
                invented += there
            elif write.acked or write.found:
                lost += 0 if write.hasty else missing
                hasty_lost += missing if write.hasty else 0
            write.found = there == write.rows
        return Verdict(
            writes=len(self.writes),
            acked=self.acked_rows,
            lost=lost,
            hasty_lost=hasty_lost,
            doubled=int((counts > 1).sum()),
            torn=torn,
            invented=invented + len(numbers) - len(known) + wrong,
        )

    def _there(self, counts: NDArray[np.int64]) -> Iterator[tuple[Write, int]]:
        present = np.concatenate(([0], np.cumsum(counts > 0)))
        for write in self.writes:
            yield write, int(present[write.first + write.rows] - present[write.first])
