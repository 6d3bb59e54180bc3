from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from headrace.storage import compaction
from headrace.storage.compaction import DAY_NS, HOUR_NS, MIN_FILES, choose
from headrace.storage.snapshot import DataFile
from headrace.storage.store import Store
from headrace.wal.precision import Precision
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.storage.store_lab import contents, settings

MINUTE_NS = 60 * 10**9


def file(start: int, stop: int, sequence: int, rows: int = 10) -> DataFile:
    return DataFile(f"{start}-{stop}-{sequence}", 100, rows, start, stop, sequence, frozenset({"time"}))


FILES = st.lists(
    st.builds(
        lambda start, length, sequence, rows: file(start, start + length, sequence, rows),
        st.integers(0, 5).map(lambda n: n * HOUR_NS // 2),
        st.integers(0, 4).map(lambda n: n * HOUR_NS // 3),
        st.integers(1, 12),
        st.integers(1, 50),
    ),
    max_size=25,
    unique_by=lambda each: each.path,
)


@examples(max_examples=300, deadline=None)
@given(FILES, st.integers(10, 300))
def test_a_job_is_small_and_no_file_outside_lies_between_its_files(files: list[DataFile], most: int) -> None:
    job = choose(files, most)
    if job is None:
        return
    assert len(job.files) >= MIN_FILES
    assert job.rows <= most
    low, high = min(each.min_time for each in job.files), max(each.max_time for each in job.files)
    oldest, newest = (pick(each.sequence for each in job.files) for pick in (min, max))
    assert job.sequence == newest
    for other in set(files) - set(job.files):
        overlaps = other.min_time <= high and other.max_time >= low
        assert not overlaps or other.sequence < oldest or other.sequence > newest
    if job.width_ns:
        assert low // job.width_ns == high // job.width_ns


def test_an_hours_files_come_before_a_days() -> None:
    hours = [file(n * HOUR_NS, n * HOUR_NS + MINUTE_NS, n + 1) for n in range(5)]
    minutes = [file(n * MINUTE_NS, n * MINUTE_NS + 1, 10 + n) for n in range(5)]
    job = choose(hours + minutes, 1000)
    assert job is not None
    assert job.width_ns == HOUR_NS
    day = choose(hours, 1000)
    assert day is not None
    assert day.width_ns == DAY_NS


def test_a_large_file_is_not_rewritten_for_crumbs() -> None:
    large = file(0, MINUTE_NS, 1, rows=1000)
    crumbs = [file(0, MINUTE_NS, n, rows=1) for n in range(2, 6)]
    job = choose([large, *crumbs], 10_000)
    assert job is not None
    assert large not in job.files


def test_files_that_are_large_already_stay() -> None:
    assert choose([file(n, n + 1, n, rows=600) for n in range(1, 9)], 1000) is None


def test_history_does_not_multiply_files(tmp_path: Path) -> None:
    with Store.open(settings(tmp_path)) as store:
        for n in range(40):
            lines = f"cpu,host=a x={n} {n * 10 * MINUTE_NS}\ncpu,host=b x={n},y{n % 3}=1i {n * 10 * MINUTE_NS - 1}"
            store.write("db", lines.encode(), precision=Precision.NANOSECOND)
            store.persist()
            if n % 8 == 0:
                store.compact()
        before = contents(store.snapshot("db"), tmp_path)
        store.compact()
        (files,) = store.files().values()
        assert len(files) < 8
        assert contents(store.snapshot("db"), tmp_path) == before
    with Store.open(settings(tmp_path)) as store:
        assert contents(store.snapshot("db"), tmp_path) == before
        assert len(list(tmp_path.rglob("*.parquet"))) == len(files)


def test_scattered_files_are_put_together_too(tmp_path: Path) -> None:
    with Store.open(settings(tmp_path, max_files_per_persist=4)) as store:
        for n in range(12):
            lines = "\n".join(f"cpu x={n} {day * DAY_NS + n}" for day in range(0, 4000, 37))
            store.write("db", lines.encode(), precision=Precision.NANOSECOND)
            store.persist()
        before = contents(store.snapshot("db"), tmp_path)
        (files,) = store.files().values()
        store.compact()
        (fewer,) = store.files().values()
        assert len(fewer) < len(files) / 3
        assert contents(store.snapshot("db"), tmp_path) == before


def test_files_that_expire_during_a_compaction_stay_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(settings(tmp_path)) as store:
        for n in range(5):
            store.write("db", f"cpu x={n} {n}".encode(), precision=Precision.NANOSECOND)
            store.persist()
        read = compaction.merged_rows

        def read_and_lose(*arguments: Any) -> Any:
            rows = read(*arguments)
            from headrace.storage import admin

            admin.set_database_retention(store.ingest, "db", 10**9)
            store._keeper.drop_expired()
            return rows

        monkeypatch.setattr("headrace.storage.keeper.merged_rows", read_and_lose)
        assert store.compact() == 0
        assert not store.files()
        store._keeper.sweep()
        assert not list(tmp_path.rglob("*.parquet"))
