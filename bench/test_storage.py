"""The store: taking rows in, snapshots, duplicates, persist, restart.

``pytest bench/test_storage.py``. A million rows of the shape of TSBS's cpu table (10 tags, 10 integers) in
batches of 5,000, unless said otherwise.
"""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
from headrace.storage.ingest import TablePart
from headrace.storage.manifest import Change, Manifest
from headrace.storage.objects import Objects
from headrace.storage.parquet import TableEncoder
from headrace.storage.snapshot import DataFile
from headrace.storage.sort import series_ranks, sorted_rows
from headrace.storage.store import Store
from headrace.storage.store_settings import StoreSettings
from headrace.storage.table_buffer import TableBuffer
from headrace.wal.schema import TIME_TYPE, ColumnType, TableSchema

ROWS = 1_000_000
BATCH = 5_000
HOSTS = 4_000
TAGS = tuple(f"tag{number}" for number in range(10))
FIELDS = tuple(f"field{number}" for number in range(10))
SCHEMA = TableSchema(
    "cpu",
    {
        **dict.fromkeys(TAGS, ColumnType.TAG),
        **dict.fromkeys(FIELDS, ColumnType.INTEGER),
        "time": ColumnType.TIME,
    },
)
_START = 1_700_000_000_000_000_000
_VALUES = [pa.array([f"value{number}" for number in range(HOSTS if tag == 0 else 10 + tag)]) for tag in range(10)]


def cpu_batch(start: int, rows: int = BATCH) -> pa.RecordBatch:
    """Every host reports each 10 s, in the order of the hosts."""
    random = np.random.default_rng(start)
    index = np.arange(start, start + rows)
    hosts = (index % HOSTS).astype(np.int32)
    columns: dict[str, Any] = {
        name: pa.DictionaryArray.from_arrays(pa.array(hosts % np.int32(len(values))), values)
        for name, values in zip(TAGS, _VALUES, strict=True)
    }
    columns |= {name: random.integers(0, 101, rows) for name in FIELDS}
    columns["time"] = pa.array(_START + index // HOSTS * 10_000_000_000).cast(TIME_TYPE)
    return pa.record_batch(columns)


@pytest.fixture(scope="module")
def batches() -> list[pa.RecordBatch]:
    return [cpu_batch(start) for start in range(0, ROWS, BATCH)]


def filled(batches: list[pa.RecordBatch], *, absorb: bool = False) -> TableBuffer:
    buffer = TableBuffer(1, threading.RLock(), lambda _: None)
    for batch in batches:
        buffer.append(batch, batch.nbytes)
    if absorb:
        buffer.absorb()
    return buffer


def rate(benchmark: Any, rows: int) -> None:
    benchmark.extra_info["M rows/s"] = round(rows / benchmark.stats.stats.median / 1e6, 2)


def test_first_snapshot(benchmark: Any, batches: list[pa.RecordBatch]) -> None:
    schema = SCHEMA.arrow_schema()

    def setup() -> tuple[tuple[TableBuffer], dict[str, Any]]:
        return (filled(batches),), {}

    benchmark.pedantic(lambda buffer: buffer.snapshot(ROWS, schema), setup=setup, rounds=5, warmup_rounds=1)
    rate(benchmark, ROWS)


def test_next_snapshot(benchmark: Any, batches: list[pa.RecordBatch]) -> None:
    schema = SCHEMA.arrow_schema()
    buffer = filled(batches, absorb=True)
    benchmark(buffer.snapshot, ROWS, schema)


def test_snapshot_after_rewriting_every_row(benchmark: Any, batches: list[pa.RecordBatch]) -> None:
    schema = SCHEMA.arrow_schema()

    def setup() -> tuple[tuple[TableBuffer], dict[str, Any]]:
        buffer = filled(batches, absorb=True)
        for batch in batches:
            buffer.append(batch.select([*TAGS, "field0", "time"]), batch.nbytes)
        return (buffer,), {}

    rows = benchmark.pedantic(lambda buffer: buffer.snapshot(2 * ROWS, schema), setup=setup, rounds=3)
    assert rows.rows == ROWS
    rate(benchmark, ROWS)


def test_take_in_one_row_batches(benchmark: Any) -> None:
    ones = [cpu_batch(start, 1) for start in range(5_000)]
    benchmark.pedantic(lambda: filled(ones, absorb=True), rounds=3, warmup_rounds=1)
    benchmark.extra_info["µs/batch"] = round(benchmark.stats.stats.median / len(ones) * 1e6, 1)


def test_sort(benchmark: Any, batches: list[pa.RecordBatch]) -> None:
    rows = filled(batches, absorb=True).rows(ROWS)

    def sort() -> Any:
        return sorted_rows(series_ranks(rows.keys, rows.values, range(10)), rows.series, rows.times, rows.live)

    benchmark.pedantic(sort, rounds=5, warmup_rounds=1)
    rate(benchmark, ROWS)


def test_encode_parquet(benchmark: Any, batches: list[pa.RecordBatch]) -> None:
    rows = filled(batches, absorb=True).rows(ROWS)
    order = sorted_rows(series_ranks(rows.keys, rows.values, range(10)), rows.series, rows.times, rows.live)
    encoder = TableEncoder(rows, SCHEMA)
    encoded = benchmark.pedantic(encoder.encode, args=(order,), rounds=3, warmup_rounds=1)
    rate(benchmark, ROWS)
    benchmark.extra_info["bytes/row"] = round(encoded.data.size / ROWS, 1)


@pytest.fixture
def unlimited(tmp_path: Path) -> StoreSettings:
    return StoreSettings(
        data_dir=tmp_path, persist_wal_bytes=1 << 40, persist_buffer_bytes=1 << 40, buffer_limit_bytes=1 << 40
    )


def ingest(store: Store, batches: list[pa.RecordBatch]) -> None:
    futures = [store.ingest.submit([TablePart("db", "cpu", batch, TAGS)], timeout=60).future for batch in batches]
    for future in futures:
        future.result(60)


def test_ingest_and_persist(benchmark: Any, tmp_path: Path, batches: list[pa.RecordBatch]) -> None:
    """Durable writes of 5,000 rows while earlier ones are persisted, and the memory it takes."""
    with Store.open(StoreSettings(data_dir=tmp_path)) as store:
        peak = 0
        done = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.05):
                peak = max(peak, psutil.Process().memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        benchmark.pedantic(ingest, args=(store, batches), rounds=5)
        done.set()
        watcher.join()
    rate(benchmark, ROWS)
    benchmark.extra_info["peak MB"] = peak >> 20


def test_open_with_everything_in_the_log(
    benchmark: Any, unlimited: StoreSettings, batches: list[pa.RecordBatch]
) -> None:
    assert unlimited.data_dir is not None
    with Store.open(unlimited) as store:
        ingest(store, batches)
        kept = unlimited.data_dir.with_name("kept")
        shutil.copytree(unlimited.data_dir, kept)

    def reopen() -> None:
        started = time.perf_counter()
        store = Store.open(replace(unlimited, data_dir=kept))
        seconds.append(time.perf_counter() - started)
        # As if killed: nothing is persisted, so that the next one finds the same.
        store._keeper.persist = lambda pins: None  # type: ignore[method-assign]
        store.close()

    seconds: list[float] = []
    benchmark.pedantic(reopen, rounds=3)
    benchmark.extra_info["M rows/s"] = round(ROWS / sorted(seconds)[1] / 1e6, 1)


def test_commit_to_a_manifest_of_100_000_files(benchmark: Any, tmp_path: Path) -> None:
    """What a persist of 20 files adds, the bases that are written now and then included."""

    def files(first: int, count: int, sequence: int) -> tuple[DataFile, ...]:
        ranges = dict.fromkeys(TAGS, ("value0", "value9"))
        columns = frozenset(SCHEMA.columns)
        return tuple(
            DataFile(f"node0/dbs/1/1/2025-11-26/00-10/{n:020d}.parquet", 10**6, 10**5, n, n, sequence, columns, ranges)
            for n in range(first, first + count)
        )

    manifest = Manifest.load(Objects(tmp_path), "manifest")
    manifest.commit(Change(1, {}, (), {1: files(0, 100_000, 1)}), dict)
    number = 1

    def commit() -> None:
        nonlocal number
        number += 1
        manifest.commit(Change(number, {}, (), {1: files(10**6 + 20 * number, 20, number)}), dict)

    benchmark.pedantic(commit, rounds=50)
    started = time.perf_counter()
    assert len(Manifest.load(Objects(tmp_path), "manifest").state.files[1]) == 101_000
    benchmark.extra_info["load s"] = round(time.perf_counter() - started, 2)
