from __future__ import annotations

import threading
import time

import pytest
from headrace.wal.commit_queue import CommitQueue, Submission
from headrace.wal.entry import CursorMove
from headrace.wal.errors import WalClosed, WalFull
from headrace.wal.frame import encode_payload


def submission(entries: int = 1) -> Submission:
    moves = tuple(CursorMove(1, number) for number in range(entries))
    return Submission(encode_payload(moves), moves, True)


SIZE = submission().payload.frame_size


def test_what_goes_in_first_comes_out_first() -> None:
    queue = CommitQueue(1 << 20, 100)
    items = [submission(count) for count in (1, 2, 3)]
    for item in items:
        queue.put(item, 0, None)
    assert queue.take(1 << 20, 100) == items


def test_a_group_is_bounded_by_count_and_by_bytes_but_never_empty() -> None:
    queue = CommitQueue(1 << 20, 100)
    for _ in range(6):
        queue.put(submission(), 0, None)
    assert len(queue.take(1 << 20, 2)) == 2
    assert len(queue.take(2 * SIZE, 100)) == 2
    assert len(queue.take(1, 100)) == 1
    assert len(queue.take(1, 100)) == 1


def test_a_full_queue_refuses_after_the_timeout_and_says_how_full_it_is() -> None:
    queue = CommitQueue(2 * SIZE, 100)
    queue.put(submission(), 0, None)
    queue.put(submission(), 0, None)
    started = time.monotonic()
    with pytest.raises(WalFull, match=f"2 writes of {2 * SIZE} bytes wait to be synced; retry later"):
        queue.put(submission(), 0.05, None)
    assert time.monotonic() - started >= 0.05


def test_the_number_of_submissions_is_bounded_too() -> None:
    queue = CommitQueue(1 << 20, 3)
    for _ in range(3):
        queue.put(submission(), 0, None)
    with pytest.raises(WalFull):
        queue.put(submission(), 0, None)
    with pytest.raises(WalFull):
        queue.reserve(1, 0)


def test_what_was_taken_counts_until_it_is_released() -> None:
    queue = CommitQueue(2 * SIZE, 100)
    queue.put(submission(), 0, None)
    queue.put(submission(), 0, None)
    taken = queue.take(1 << 20, 100)
    with pytest.raises(WalFull):
        queue.put(submission(), 0, None)
    queue.release(len(taken), 2 * SIZE)
    queue.put(submission(), 0, None)


def test_a_waiting_submission_goes_in_as_soon_as_there_is_room() -> None:
    queue = CommitQueue(SIZE, 100)
    queue.put(submission(), 0, None)
    waiter = threading.Thread(target=queue.put, args=(submission(), 30, None))
    waiter.start()
    assert len(queue.take(1 << 20, 100)) == 1
    queue.release(1, SIZE)
    waiter.join(30)
    assert not waiter.is_alive()
    assert len(queue.take(1 << 20, 100)) == 1


def test_a_submission_beyond_the_bound_goes_into_an_empty_queue() -> None:
    queue = CommitQueue(SIZE, 100)
    big = submission(50)
    queue.put(big, 0, None)
    with pytest.raises(WalFull):
        queue.put(submission(), 0, None)
    assert queue.take(1, 1) == [big]


def test_reserved_room_is_there_when_the_queue_is_full() -> None:
    queue = CommitQueue(2 * SIZE, 100)
    reservation = queue.reserve(SIZE, 0)
    queue.put(submission(), 0, None)
    with pytest.raises(WalFull):
        queue.put(submission(), 0, None)
    queue.put(submission(), 0, reservation)
    assert len(queue.take(1 << 20, 100)) == 2
    queue.release(2, 2 * SIZE)
    queue.put(submission(2), 0, None)


def test_reserved_room_that_was_not_used_is_given_back_once() -> None:
    queue = CommitQueue(2 * SIZE, 100)
    with queue.reserve(2 * SIZE, 0) as reservation:
        with pytest.raises(WalFull):
            queue.put(submission(), 0, None)
        reservation.release()
    queue.put(submission(), 0, None)
    queue.put(submission(), 0, None)
    with pytest.raises(WalFull):
        queue.put(submission(), 0, None)


def test_a_reservation_serves_one_submission_only() -> None:
    queue = CommitQueue(SIZE, 100)
    with queue.reserve(SIZE, 0) as reservation:
        queue.put(submission(), 0, reservation)
        with pytest.raises(WalFull):
            queue.put(submission(), 0, reservation)
    assert len(queue.take(1 << 20, 100)) == 1


def test_a_refusing_queue_drains_and_then_gives_nothing() -> None:
    queue = CommitQueue(1 << 20, 100)
    held = queue.reserve(SIZE, 0)
    queue.put(submission(), 0, None)
    queue.refuse(lambda: WalClosed("closed"))
    queue.refuse(lambda: WalFull("never this one"))
    for reservation in (None, held):
        with pytest.raises(WalClosed):
            queue.put(submission(), 0, reservation)
    with pytest.raises(WalClosed):
        queue.reserve(1, 0)
    assert len(queue.take(1 << 20, 100)) == 1
    assert queue.take(1 << 20, 100) == []


def test_refusing_wakes_those_who_wait() -> None:
    queue = CommitQueue(SIZE, 100)
    queue.put(submission(), 0, None)
    errors: list[Exception] = []
    started = threading.Event()

    def wait() -> None:
        started.set()
        try:
            queue.put(submission(), 60, None)
        except WalClosed as error:
            errors.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert started.wait(30)
    queue.refuse(lambda: WalClosed("closed"))
    waiter.join(30)
    assert len(errors) == 1
