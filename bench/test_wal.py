"""The write-ahead log: latency of one-line writes, throughput of large frames, replay.

``pytest bench/test_wal.py``. Everything is synced for real: put ``--basetemp`` on the disk to be measured.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headrace.wal.entry import Rows
from headrace.wal.frame import encode_payload
from headrace.wal.replay import replay
from headrace.wal.schema import TAG_TYPE, TIME_TYPE
from headrace.wal.writer import Wal, WalSettings

LINE = pa.record_batch(
    {
        "time": pa.array([1], pa.int64()).cast(TIME_TYPE),
        "room": pa.array(["Kitchen"], pa.utf8()).cast(TAG_TYPE),
        "temp": pa.array([21.5]),
        "hum": pa.array([35.9]),
        "co": pa.array([0]),
    }
)


def cpu_rows(rows: int) -> pa.RecordBatch:
    """Rows of the shape of TSBS's cpu table: 10 tags, 10 integer fields."""
    random = np.random.default_rng(1)
    values = pa.array([f"host_{number}" for number in range(100)])
    columns: dict[str, Any] = {"time": pa.array(np.arange(rows)).cast(TIME_TYPE)}
    for number in range(10):
        codes = pa.array(random.integers(0, 100, rows, dtype=np.int32))
        columns[f"tag{number}"] = pa.DictionaryArray.from_arrays(codes, values)
    for number in range(10):
        columns[f"field{number}"] = random.integers(0, 100, rows)
    return pa.record_batch(columns)


@pytest.fixture
def wal(tmp_path: Path) -> Iterator[Wal]:
    with Wal.open(tmp_path, WalSettings(), on_commit=lambda _: None) as opened:
        yield opened


def percentiles(benchmark: Any) -> None:
    """Add p50 and p99 to what pytest-benchmark stores."""
    data = sorted(benchmark.stats.stats.data)
    benchmark.extra_info["p50_ms"] = round(data[len(data) // 2] * 1e3, 3)
    benchmark.extra_info["p99_ms"] = round(data[len(data) * 99 // 100] * 1e3, 3)


def test_encode_one_line(benchmark: Any) -> None:
    benchmark(encode_payload, [Rows(1, LINE)])


def test_encode_5000_cpu_rows(benchmark: Any) -> None:
    benchmark(encode_payload, [Rows(1, cpu_rows(5_000))])


def test_one_line_by_one_writer(benchmark: Any, wal: Wal) -> None:
    benchmark.pedantic(lambda: wal.submit([Rows(1, LINE)]).result(), rounds=2_000, warmup_rounds=50)
    percentiles(benchmark)


@pytest.mark.parametrize("writers", [8, 32])
def test_one_line_by_many_writers(benchmark: Any, wal: Wal, writers: int) -> None:
    """One round is one write of each writer; they start together, as requests do."""
    barrier = threading.Barrier(writers + 1)
    done = threading.Barrier(writers + 1)
    running = True

    def write() -> None:
        while True:
            barrier.wait()
            if not running:
                return
            wal.submit([Rows(1, LINE)]).result()
            done.wait()

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()

    def round_of_writes() -> None:
        barrier.wait()
        done.wait()

    benchmark.pedantic(round_of_writes, rounds=300, warmup_rounds=10)
    percentiles(benchmark)
    running = False
    barrier.wait()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("depth", [1, 4, 16])
def test_megabyte_frames(benchmark: Any, wal: Wal, depth: int) -> None:
    """One round is ``depth`` frames of 1 MB, all in flight at once."""
    batch = cpu_rows(8_192)

    def write() -> None:
        for future in [wal.submit([Rows(1, batch)]) for _ in range(depth)]:
            future.result()

    benchmark.pedantic(write, rounds=max(4, 200 // depth), warmup_rounds=2)
    benchmark.extra_info["MB_per_s"] = round(depth * batch.nbytes / benchmark.stats.stats.median / 1e6)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, pa.RecordBatch], Path]:
    """Logs by the number of frames and what is in each."""

    def write(frames: int, batch: pa.RecordBatch) -> Path:
        directory = tmp_path_factory.mktemp("log")
        with Wal.open(directory, WalSettings(), on_commit=lambda _: None) as log:
            futures = [log.submit([Rows(1, batch)]) for _ in range(frames)]
            for future in futures:
                future.result()
        return directory

    return write


def test_replay_2_million_cpu_rows(benchmark: Any, written: Callable[[int, pa.RecordBatch], Path]) -> None:
    directory = written(400, cpu_rows(5_000))
    frames = benchmark.pedantic(lambda: list(replay(directory, 0)), rounds=5, warmup_rounds=1)
    assert len(frames) == 400
    benchmark.extra_info["rows_per_s"] = round(2e6 / benchmark.stats.stats.median)
    benchmark.extra_info["MB_per_s"] = round(sum(frame.size for frame in frames) / benchmark.stats.stats.median / 1e6)


def test_replay_20_000_one_line_frames(benchmark: Any, written: Callable[[int, pa.RecordBatch], Path]) -> None:
    directory = written(20_000, LINE)
    frames = benchmark.pedantic(lambda: list(replay(directory, 0)), rounds=5, warmup_rounds=1)
    assert len(frames) == 20_000
    benchmark.extra_info["frames_per_s"] = round(20_000 / benchmark.stats.stats.median)
