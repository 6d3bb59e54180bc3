"""Queries over the real storage: rows in memory, in files, and in both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from headrace.query.engine import QueryEngine
from headrace.storage.store import Store
from headrace.storage.store_settings import StoreSettings
from headrace.wal.line_protocol import Precision

MINUTE = 60_000_000_000
START = 1_640_995_200_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(StoreSettings(data_dir=tmp_path, node_id="node"))
    yield store
    store.close()


@pytest.fixture
def engine(store: Store) -> Iterator[QueryEngine]:
    engine = QueryEngine(store)
    yield engine
    engine.close()


def _write(store: Store, *lines: str) -> None:
    pending = store.write("db", "\n".join(lines).encode(), precision=Precision.NANOSECOND)
    assert not pending.errors


def test_a_write_is_seen_at_once_before_and_after_it_is_persisted(store: Store, engine: QueryEngine) -> None:
    _write(store, f"home,room=Kitchen temp=21.5,co=3i {START}", f"home,room=Living\\ Room temp=2 {START + MINUTE}")
    query = "SELECT room, temp, co FROM home ORDER BY time"
    expected = [{"room": "Kitchen", "temp": 21.5, "co": 3}, {"room": "Living Room", "temp": 2.0, "co": None}]
    assert engine.sql("db", query).read_all().to_pylist() == expected
    store.persist()
    result = engine.sql("db", query)
    assert result.files == 1
    assert result.read_all().to_pylist() == expected


def test_newer_writes_win_per_field_over_persisted_ones(store: Store, engine: QueryEngine) -> None:
    _write(store, f"home,room=Kitchen temp=21.5,co=3i {START}")
    store.persist()
    _write(store, f"home,room=Kitchen temp=22.5 {START}")
    store.persist()
    _write(store, f"home,room=Kitchen hum=40 {START}", f"home,room=Attic hum=50 {START}")
    rows = engine.sql("db", "SELECT room, temp, co, hum FROM home ORDER BY room").read_all().to_pylist()
    assert rows == [
        {"room": "Attic", "temp": None, "co": None, "hum": 50.0},
        {"room": "Kitchen", "temp": 22.5, "co": 3, "hum": 40.0},
    ]


def test_a_time_bound_opens_only_its_partitions(store: Store, engine: QueryEngine) -> None:
    for hour in range(6):
        _write(store, *(f"cpu,host=a usage={minute} {START + (hour * 60 + minute) * MINUTE}" for minute in range(60)))
    store.persist()
    everything = engine.sql("db", "SELECT count(*) AS n FROM cpu")
    assert everything.read_all()["n"].to_pylist() == [360]
    recent = engine.sql("db", "SELECT count(*) AS n FROM cpu WHERE time >= '2022-01-01T05:30:00'")
    assert 0 < recent.files < everything.files
    assert recent.read_all()["n"].to_pylist() == [30]


def test_a_result_outlives_the_files_it_reads(store: Store, engine: QueryEngine) -> None:
    _write(store, *(f"cpu,host=a usage={at} {START + at}" for at in range(1_000)))
    store.persist()
    result = engine.sql("db", "SELECT * FROM cpu")
    _write(store, f"cpu,host=b usage=1 {START}")
    store.persist()
    assert result.read_all().num_rows == 1_000


def test_columns_that_come_later_are_null_in_older_rows(store: Store, engine: QueryEngine) -> None:
    _write(store, f"cpu usage=1 {START}")
    store.persist()
    _write(store, f'cpu,host=a idle=2i,note="x, y",up=true,big=7u {START + 1}')
    rows = engine.sql("db", "SELECT * FROM cpu ORDER BY usage NULLS LAST").read_all().drop_columns("time").to_pylist()
    assert rows == [
        {"big": None, "host": None, "idle": None, "note": None, "up": None, "usage": 1.0},
        {"big": 7, "host": "a", "idle": 2, "note": "x, y", "up": True, "usage": None},
    ]
