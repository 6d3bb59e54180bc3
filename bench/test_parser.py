"""How fast line protocol becomes finished record batches, on one core.

``extra_info`` has the figures the goals are stated in: MB/s, lines/s and bytes a line, from the
median. Times are the thread's own, so that neighbours on the machine do not count; a body is parsed
against the schemas of its tables, as every body but the first of a database is.
"""

from __future__ import annotations

import time

import pytest
from headrace.wal.line_protocol import Precision, parse_lines, warm_up
from headrace.wal.schema import TableSchema
from pytest_benchmark.fixture import BenchmarkFixture

from bench.generators import SHAPES

_BAD_LINE = b"\xff\n"  # not UTF-8: makes every line of its body go the general way

own_time = pytest.mark.benchmark(timer=time.thread_time, warmup=True, warmup_iterations=3, min_rounds=15, max_time=1.0)


@own_time
@pytest.mark.parametrize("lines", [5_000, 100_000])
@pytest.mark.parametrize("shape", SHAPES)
def test_parsing(benchmark: BenchmarkFixture, shape: str, lines: int) -> None:
    measure(benchmark, SHAPES[shape](lines), lines)


@own_time
@pytest.mark.parametrize("shape", SHAPES)
def test_parsing_the_general_way(benchmark: BenchmarkFixture, shape: str) -> None:
    measure(benchmark, SHAPES[shape](100_000) + _BAD_LINE, 100_000)


def measure(benchmark: BenchmarkFixture, body: bytes, lines: int) -> None:
    warm_up()
    first = parse_lines(body, lambda _: None, precision=Precision.NANOSECOND, default_time_ns=0)
    assert first.rows == lines
    schemas = {table.name: TableSchema(table.name).with_columns(table.new_columns) for table in first.tables}

    benchmark(parse_lines, body, schemas.get, precision=Precision.NANOSECOND, default_time_ns=0)

    if benchmark.stats is not None:
        seconds = benchmark.stats.stats.median
        benchmark.extra_info["MB/s"] = round(len(body) / seconds / 1e6)
        benchmark.extra_info["lines/s"] = round(lines / seconds)
        benchmark.extra_info["bytes/line"] = round(len(body) / lines, 1)
