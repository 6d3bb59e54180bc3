from __future__ import annotations

from headrace.processing.printed import MAX_LINE, PrintedOutput
from hypothesis import given, settings
from hypothesis import strategies as st


def test_lines_are_whole_whatever_the_chunks() -> None:
    printed = PrintedOutput(100, 10_000)
    printed.feed(0, b"on")
    printed.feed(1, b"problem\n")
    printed.feed(0, b"e\ntwo\nunfin")
    assert printed.take() == ([("WARN", "problem"), ("INFO", "one"), ("INFO", "two")], 0)
    assert printed.take() == ((), 0)
    printed.feed(0, b"ished")
    assert printed.take(all_of_it=True) == ([("INFO", "unfinished")], 0)


def test_the_end_of_a_stream_ends_its_last_line() -> None:
    printed = PrintedOutput(100, 10_000)
    printed.feed(0, b"last")
    printed.feed(0, b"")
    assert printed.take() == ([("INFO", "last")], 0)


def test_what_is_beyond_the_bounds_is_counted() -> None:
    printed = PrintedOutput(2, 10_000)
    printed.feed(0, b"1\n2\n3\n4\n")
    printed.feed(0, b"5\n6\n")
    assert printed.take() == ([("INFO", "1"), ("INFO", "2")], 4)
    printed.feed(0, b"7\n")
    assert printed.take() == ([], 1)


def test_the_bounds_are_those_of_a_run() -> None:
    printed = PrintedOutput(2, 10_000)
    printed.feed(0, b"1\n2\n3\n")
    assert printed.is_full
    assert printed.take(all_of_it=True) == ([("INFO", "1"), ("INFO", "2")], 1)
    printed.feed(0, b"4\n")
    assert printed.take() == ([("INFO", "4")], 0)


def test_a_line_without_end_is_cut() -> None:
    printed = PrintedOutput(100, 10 * MAX_LINE)
    for _ in range(20):
        printed.feed(0, b"x" * 10_000)
    lines, _ = printed.take(all_of_it=True)
    assert all(len(text) <= MAX_LINE for _, text in lines)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=50))))
def test_memory_stays_within_bounds(chunks: list[tuple[int, bytes]]) -> None:
    printed = PrintedOutput(5, 60)
    for stream, data in chunks:
        printed.feed(stream, data)
    lines, dropped = printed.take(all_of_it=True)
    assert len(lines) <= 5 + 2
    assert sum(len(text) for _, text in lines) <= 60 + 3 * 50 * 50
    assert dropped >= 0
