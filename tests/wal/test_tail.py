from __future__ import annotations

from headrace.wal.entry import CursorMove, Frame
from headrace.wal.tail import Tail, pick, select

from tests.wal.samples import rows


def frames(first: int, last: int, size: int = 100, table_id: int = 1) -> list[Frame]:
    return [Frame(sequence, (rows(sequence, table_id=table_id),), size) for sequence in range(first, last + 1)]


def test_a_tail_gives_what_came_after_a_sequence() -> None:
    tail = Tail(1 << 20, 4)
    tail.append(frames(5, 6))
    tail.append(frames(7, 9))
    assert tail.last == 9
    for after in range(4, 9):
        assert tail.after(after) == frames(after + 1, 9)
    assert tail.after(9) == tail.after(12) == []


def test_a_tail_does_not_know_what_came_before_it() -> None:
    tail = Tail(1 << 20, 4)
    assert tail.after(3) is None
    assert tail.after(4) == []
    tail.append(frames(5, 6))
    assert tail.after(3) is None


def test_a_tail_forgets_its_oldest_frames_beyond_its_bound() -> None:
    tail = Tail(30_000, 0)
    tail.append(frames(1, 10, size=5_000))
    assert tail.after(6) is None
    assert tail.after(7) == frames(8, 10, size=5_000)
    tail.append(frames(11, 11, size=50_000))
    assert tail.after(10) is None
    assert tail.after(11) == []
    assert tail.last == 11


def test_small_frames_count_for_the_memory_they_take() -> None:
    tail = Tail(1 << 20, 0)
    tail.append(frames(1, 1_000, size=600))
    assert tail.after(0) is None, "a thousand one-row batches take more than a megabyte"
    assert tail.after(999) == frames(1_000, 1_000, size=600)


def test_picking_stops_at_the_limit_but_takes_at_least_one_frame() -> None:
    assert pick(frames(1, 9), 250, None) == frames(1, 2)
    assert pick(frames(1, 9), 1, None) == frames(1, 1)
    assert pick([], 250, None) == []


def test_without_tables_to_pick_even_an_empty_frame_is_given() -> None:
    found = [Frame(1, (), 40), *frames(2, 2), Frame(3, (), 40)]
    assert pick(found, 10_000, None) == found


def test_picking_by_table_reports_how_far_it_looked() -> None:
    mixed = [*frames(1, 2), *frames(3, 5, table_id=2), *frames(6, 7), *frames(8, 9, table_id=2)]
    assert pick(mixed, 10_000, {1}) == [*frames(1, 2), *frames(6, 7), Frame(9, (), 100)]
    assert pick(mixed, 10_000, {3}) == [Frame(9, (), 100)]
    assert pick(mixed, 100, {1}) == [*frames(1, 1)]
    assert pick(mixed, 200, {1}) == [*frames(1, 2), Frame(5, (), 100)]


def test_selecting_by_table_keeps_everything_that_is_not_rows() -> None:
    entries = (rows(1, table_id=1), CursorMove(1, 1), rows(2, table_id=2))
    assert select(entries, {2}) == (CursorMove(1, 1), rows(2, table_id=2))
    assert select(entries, None) == entries
