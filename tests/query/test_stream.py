from __future__ import annotations

import gc
import resource
import sys
import threading
import time

import numpy as np
import psutil
import pyarrow as pa
import pytest
from headrace.query.engine import QueryEngine
from headrace.query.errors import MemoryExhausted, QueryClosed, QueryTimeout
from headrace.query.formats import ResultFormat, encode
from headrace.query.settings import QuerySettings

from tests.query.snapshot_lab import SnapshotLab

ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000)"


def _wide(lab: SnapshotLab, rows: int) -> None:
    table = lab.table("wide", host="tag", a="float64", b="float64", n="int64")
    numbers = np.arange(rows)
    table.add_file(
        pa.table(
            {
                "host": pa.array([f"host{at % 50:04}" for at in range(rows)]),
                "a": numbers * 0.5,
                "b": np.sqrt(numbers),
                "n": numbers,
                "time": pa.array(numbers, pa.timestamp("ns")),
            }
        )
    )


def _wait_until_idle(seconds: float = 10.0) -> bool:
    process, deadline = psutil.Process(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = process.cpu_times().user
        time.sleep(0.1)
        if process.cpu_times().user - before < 0.05:
            return True
    return False


def test_a_statement_is_stopped_at_its_time_limit_and_leaves_the_processor(engine: QueryEngine) -> None:
    began = time.monotonic()
    with pytest.raises(QueryTimeout) as failure:
        engine.sql("db", ENDLESS, timeout_s=0.2).read_all()
    assert failure.value.status == 408
    assert time.monotonic() - began < 5
    assert _wait_until_idle()


def test_the_settings_limit_holds_for_every_statement(lab: SnapshotLab) -> None:
    engine = QueryEngine(lab, QuerySettings(statement_timeout_s=0.1))
    with pytest.raises(QueryTimeout):
        engine.sql("db", ENDLESS, timeout_s=60).read_all()
    engine.close()


def test_the_time_that_the_reader_takes_is_not_counted(lab: SnapshotLab) -> None:
    engine = QueryEngine(lab, QuerySettings(statement_timeout_s=0.5))
    result = engine.sql("db", "SELECT * FROM generate_series(1, 1000000)")
    next(result.batches)
    time.sleep(0.7)
    assert sum(batch.num_rows for batch in result.batches) == 1_000_000 - 8_192
    engine.close()


def test_close_wakes_a_reader_in_another_thread_and_stops_the_engine(engine: QueryEngine) -> None:
    result = engine.sql("db", ENDLESS)
    failures: list[Exception] = []

    def read() -> None:
        try:
            result.read_all()
        except QueryClosed as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    result.close()
    result.close()
    reader.join(10)
    assert not reader.is_alive()
    assert len(failures) == 1
    assert _wait_until_idle()


def test_a_forgotten_result_stops_the_engine_and_gives_its_place_back(lab: SnapshotLab) -> None:
    engine = QueryEngine(lab, QuerySettings(concurrent_queries=1))
    result = engine.sql("db", ENDLESS)
    del result
    gc.collect()
    assert engine.sql("db", "SELECT 1").read_all().num_rows == 1
    assert _wait_until_idle()
    engine.close()


def test_closing_the_engine_ends_all_results(lab: SnapshotLab) -> None:
    engine = QueryEngine(lab)
    result = engine.sql("db", ENDLESS)
    engine.close()
    with pytest.raises(QueryClosed):
        result.read_all()
    with pytest.raises(QueryClosed):
        engine.sql("db", "SELECT 1")
    result.close()


def test_a_query_that_outgrows_the_pool_spills_or_is_refused(lab: SnapshotLab) -> None:
    _wide(lab, 400_000)
    small = QueryEngine(lab, QuerySettings(memory_pool_bytes=12 << 20, target_partitions=2))
    ordered = small.sql("db", "SELECT n FROM wide ORDER BY b DESC, host").read_all()["n"].to_pylist()
    assert ordered == list(range(399_999, -1, -1))
    with pytest.raises(MemoryExhausted) as failure:
        small.sql("db", "SELECT count(*) FROM wide x JOIN wide y ON x.a = y.b + 1 AND x.n > y.n - 5").read_all()
    assert failure.value.status == 503
    assert small.sql("db", "SELECT count(*) AS n FROM wide").read_all()["n"].to_pylist() == [400_000]
    small.close()


def test_queries_share_one_pool(lab: SnapshotLab) -> None:
    _wide(lab, 300_000)
    engine = QueryEngine(lab, QuerySettings(memory_pool_bytes=80 << 20))
    query = "SELECT count(*) AS n FROM (SELECT DISTINCT a, b, n, time FROM wide)"
    results = [engine.sql("db", query) for _ in range(2)]
    assert [result.read_all()["n"].to_pylist() for result in results] == [[300_000]] * 2
    engine.close()


@pytest.mark.parametrize("format_", [ResultFormat.JSON, ResultFormat.CSV, ResultFormat.PARQUET, ResultFormat.PRETTY])
def test_a_result_of_any_size_takes_little_memory(format_: ResultFormat, lab: SnapshotLab, engine: QueryEngine) -> None:
    _wide(lab, 100_000)
    repeat = 2 if format_ is ResultFormat.PRETTY else 8
    query = f"SELECT w.* FROM generate_series(1, {repeat}) g CROSS JOIN wide w"
    for _ in encode(engine.sql("db", "SELECT * FROM wide"), format_):
        pass  # buffers of the first run do not count
    before = _peak_kib()
    size = sum(map(len, encode(engine.sql("db", query), format_)))
    growth = (_peak_kib() - before) * 1024
    assert size > 500_000 * repeat
    assert growth < 64 << 20


def _peak_kib() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "linux" else peak // 1024


def test_other_threads_run_while_the_engine_computes(lab: SnapshotLab, engine: QueryEngine) -> None:
    _wide(lab, 400_000)
    turns = 0
    done = threading.Event()

    def count() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            time.sleep(0.001)

    counter = threading.Thread(target=count)
    counter.start()
    began = time.monotonic()
    engine.sql(
        "db", "SELECT count(*) FROM wide x JOIN wide y ON x.host = y.host AND x.n < y.n AND y.n < 4000"
    ).read_all()
    elapsed = time.monotonic() - began
    done.set()
    counter.join()
    assert turns > elapsed * 100
