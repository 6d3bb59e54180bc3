"""The judge is judged first: a ledger that overlooks a lost row would make every crash test pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.crash.ledger import Ledger


def numbers(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def filled() -> Ledger:
    """Rows 0–2 acked, 3–4 acked without sync, 5–6 not acked."""
    ledger = Ledger()
    ledger.ack(ledger.begin(3))
    ledger.ack(ledger.begin(2, hasty=True))
    ledger.begin(2)
    return ledger


def test_what_was_acked_is_enough_and_what_was_not_may_be_there() -> None:
    for found in (numbers(4, 3, 2, 1, 0), numbers(0, 1, 2, 3, 4, 5, 6)):
        verdict = filled().compare(found)
        assert verdict.clean
        assert (verdict.writes, verdict.acked) == (3, 5)


def test_a_missing_acked_row_is_lost() -> None:
    verdict = filled().compare(numbers(3, 4))
    assert (verdict.lost, verdict.torn, verdict.clean) == (3, 0, False)
    verdict = filled().compare(numbers(0, 1, 2))
    assert (verdict.lost, verdict.hasty_lost, verdict.clean) == (0, 2, False)


def test_half_a_write_is_torn_whether_acked_or_not() -> None:
    verdict = filled().compare(numbers(0, 2, 3, 4))
    assert (verdict.lost, verdict.torn) == (1, 1)
    verdict = filled().compare(numbers(0, 1, 2, 3, 4, 6))
    assert (verdict.lost, verdict.torn, verdict.clean) == (0, 1, False)


def test_a_row_found_twice_is_doubled() -> None:
    verdict = filled().compare(numbers(0, 1, 1, 2, 3, 4))
    assert (verdict.doubled, verdict.clean) == (1, False)


def test_a_row_nobody_sent_is_invented() -> None:
    assert filled().compare(numbers(0, 1, 2, 3, 4, 7)).invented == 1
    assert filled().compare(numbers(0, 1, 2, 3, 4, -1)).invented == 1
    assert filled().compare(numbers(0, 1, 2, 3, 4), wrong=2).invented == 2


def test_what_was_seen_once_must_stay() -> None:
    ledger = filled()
    assert ledger.compare(numbers(0, 1, 2, 3, 4, 5, 6)).clean
    assert ledger.compare(numbers(0, 1, 2, 3, 4)).lost == 2


def test_what_was_missing_once_must_not_come_back() -> None:
    ledger = filled()
    assert ledger.compare(numbers(0, 1, 2, 3, 4)).clean
    assert ledger.compare(numbers(0, 1, 2, 3, 4, 5, 6)).invented == 2
