"""Queries: the overhead of small ones, pruning, merging, grouping, and writing results.

``pytest bench/test_query.py``. Figures of small queries are medians; see ``extra_info`` for rows a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headrace.query.engine import QueryEngine
from headrace.query.formats import ResultFormat, encode, encode_batches

from tests.query.snapshot_lab import SnapshotLab

HOUR = 3_600_000_000_000
START = 1_640_995_200_000_000_000


def readings(rows: int, start: int, seconds: int, hosts: int = 100) -> pa.Table:
    """Every host reports at the same times, evenly spread over so many seconds."""
    random = np.random.default_rng(start % 1_000)
    a_host = rows // hosts
    times = start + np.tile(np.arange(a_host), hosts) * (seconds * 1_000_000_000 // a_host)
    names = np.array([f"host_{at:04}" for at in range(hosts)])
    return pa.table(
        {
            "host": pa.array(np.repeat(names, a_host)),
            "region": pa.array(np.repeat(np.array([f"region-{at % 10}" for at in range(hosts)]), a_host)),
            "usage": random.random(rows),
            "n": random.integers(0, 1_000, rows),
            "time": pa.array(times, pa.timestamp("ns")),
        }
    )


def _lab(root: Path) -> SnapshotLab:
    lab = SnapshotLab(root)
    lab.table("cpu", host="tag", region="tag", usage="float64", n="int64")
    return lab


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryEngine]:
    """1,000 files of ten minutes, and ten minutes in memory."""
    lab = _lab(tmp_path_factory.mktemp("thousand"))
    for at in range(1_000):
        lab.tables["cpu"].add_file(readings(400, START + at * HOUR // 6, 600))
    lab.tables["cpu"].add_memory(readings(400, START + 1_000 * HOUR // 6, 600))
    engine = QueryEngine(lab)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def millions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryEngine]:
    """4 M rows in four files that do not overlap."""
    lab = _lab(tmp_path_factory.mktemp("millions"))
    for at in range(4):
        lab.tables["cpu"].add_file(readings(1_000_000, START + at * 3 * HOUR, 3 * 3_600))
    engine = QueryEngine(lab)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryEngine]:
    """1 M rows that were all written twice, in two files."""
    lab = _lab(tmp_path_factory.mktemp("doubled"))
    for _ in range(2):
        lab.tables["cpu"].add_file(readings(1_000_000, START, 3 * 3_600))
    engine = QueryEngine(lab)
    yield engine
    engine.close()


def test_select_1(benchmark: Any, thousand: QueryEngine) -> None:
    benchmark(lambda: thousand.sql("db", "SELECT 1").read_all())


def test_last_hour_of_a_thousand_files(benchmark: Any, thousand: QueryEngine) -> None:
    query = "SELECT host, avg(usage), count(*) FROM cpu WHERE time >= to_timestamp_nanos($from) GROUP BY host"
    parameters = {"from": START + 1_000 * HOUR // 6 - HOUR}
    benchmark.extra_info["files"] = thousand.sql("db", query, parameters).files
    benchmark(lambda: thousand.sql("db", query, parameters).read_all())


def test_last_ten_minutes_in_memory(benchmark: Any, thousand: QueryEngine) -> None:
    query = "SELECT host, usage FROM cpu WHERE host = $host AND time >= to_timestamp_nanos($from)"
    parameters = {"host": "host_0042", "from": START + 1_000 * HOUR // 6}
    benchmark(lambda: thousand.sql("db", query, parameters).read_all())


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM cpu",
        "SELECT host, region, avg(usage) FROM cpu GROUP BY host, region",
        "SELECT date_bin(INTERVAL '1 hour', time) AS t, host, max(usage) FROM cpu GROUP BY t, host",
        "SELECT * FROM cpu WHERE host = 'host_0042'",
        "SELECT * FROM cpu ORDER BY time DESC LIMIT 10",
    ],
)
def test_four_million_rows(query: str, benchmark: Any, millions: QueryEngine) -> None:
    benchmark.pedantic(lambda: millions.sql("db", query).read_all(), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize(
    "query", ["SELECT * FROM cpu", "SELECT host, avg(usage) FROM cpu GROUP BY host", "SELECT count(*) FROM cpu"]
)
def test_a_million_rows_written_twice(query: str, benchmark: Any, doubled: QueryEngine) -> None:
    benchmark.pedantic(lambda: doubled.sql("db", query).read_all(), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("format_", list(ResultFormat))
def test_writing_a_result(format_: ResultFormat, benchmark: Any) -> None:
    rows = 200_000
    table = readings(rows, START, 3_600)
    for tag in ("host", "region"):
        at = table.schema.get_field_index(tag)
        table = table.set_column(at, tag, table[tag].combine_chunks().dictionary_encode())
    batches = table.to_batches(max_chunksize=8_192)
    benchmark.pedantic(lambda: sum(map(len, encode_batches(batches, table.schema, format_))), rounds=3, warmup_rounds=1)
    benchmark.extra_info["rows_per_second"] = round(rows / benchmark.stats.stats.median)


def test_a_million_rows_from_files_to_json(benchmark: Any, millions: QueryEngine) -> None:
    query = "SELECT * FROM cpu LIMIT 1000000"
    benchmark.pedantic(
        lambda: sum(map(len, encode(millions.sql("db", query), ResultFormat.JSON))), rounds=2, warmup_rounds=0
    )
    benchmark.extra_info["rows_per_second"] = round(1_000_000 / benchmark.stats.stats.median)
