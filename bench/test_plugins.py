"""Plugins: rows through a no-op, as dicts and as columns; what a scheduled run costs; starting a worker; writing.

``pytest bench/test_plugins.py``. Rows have five columns: a tag, two floats, an integer and the time. Everything
between the engine and the plugin is measured: serialising, the socket, the conversion, the call and its answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headrace.processing.run import PluginFile, RunRequest
from headrace.processing.specs import TriggerKind
from headrace.wal.schema import TAG_TYPE, TIME_TYPE

from tests.processing.workshop import Workshop, must, on_request, on_rows, on_schedule

ROWS = 100_000
_RANDOM = np.random.default_rng(1)
HOME = pa.record_batch(
    {
        "room": pa.array(np.array(["Kitchen", "Living Room", "Bath"])[np.arange(ROWS) % 3]).cast(TAG_TYPE),
        "temp": _RANDOM.normal(21, 2, ROWS),
        "hum": _RANDOM.normal(36, 3, ROWS),
        "co": _RANDOM.integers(0, 30, ROWS),
        "time": pa.array(np.arange(ROWS)).cast(TIME_TYPE),
    }
)


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    shop = Workshop(tmp_path)
    yield shop
    shop.stop()


def _measure(
    benchmark: Any, workshop: Workshop, kind: TriggerKind, source: str, request: RunRequest, rows: int = 0
) -> None:
    workshop.write(source)
    worker = workshop.worker(kind)
    must(worker.run(request))
    benchmark.pedantic(lambda: must(worker.run(request)), rounds=50 if rows else 500, warmup_rounds=2)
    median = benchmark.stats.stats.median
    benchmark.extra_info["milliseconds a run"] = round(median * 1e3, 3)
    if rows:
        benchmark.extra_info["rows/s"] = round(rows / median)


def test_rows_as_dicts_through_a_plugin_that_does_nothing(benchmark: Any, workshop: Workshop) -> None:
    source = "def process_writes(influxdb3_local, table_batches, args=None): pass"
    _measure(benchmark, workshop, TriggerKind.WAL, source, on_rows(("home", HOME)), ROWS)


def test_record_batches_through_a_plugin_that_does_nothing(benchmark: Any, workshop: Workshop) -> None:
    source = "def process_batches(influxdb3_local, batches, args=None): pass"
    _measure(benchmark, workshop, TriggerKind.WAL, source, on_rows(("home", HOME)), ROWS)


def test_columns_written_back(benchmark: Any, workshop: Workshop) -> None:
    source = (
        "def process_batches(influxdb3_local, batches, args=None):\n"
        "    for batch in batches: influxdb3_local.write_table('copy', batch['data'], tags=['room'])"
    )
    _measure(benchmark, workshop, TriggerKind.WAL, source, on_rows(("home", HOME)), ROWS)


def test_lines_built_and_written(benchmark: Any, workshop: Workshop) -> None:
    source = (
        "def process_scheduled_call(influxdb3_local, call_time, args=None):\n"
        "    for number in range(10_000):\n"
        "        line = LineBuilder('home').tag('room', 'Kitchen').float64_field('temp', 21.5).time_ns(number)\n"
        "        influxdb3_local.write(line)"
    )
    _measure(benchmark, workshop, TriggerKind.SCHEDULE, source, on_schedule(), 10_000)


def test_a_scheduled_run_that_does_nothing(benchmark: Any, workshop: Workshop) -> None:
    source = "def process_scheduled_call(influxdb3_local, call_time, args=None): pass"
    _measure(benchmark, workshop, TriggerKind.SCHEDULE, source, on_schedule())


def test_a_request_that_is_answered_with_a_word(benchmark: Any, workshop: Workshop) -> None:
    source = "def process_request(influxdb3_local, query_parameters, headers, body, args=None): return 'pong'"
    _measure(benchmark, workshop, TriggerKind.REQUEST, source, on_request(b"ping"))


def test_the_first_run_of_a_worker(benchmark: Any, workshop: Workshop) -> None:
    workshop.write("def process_scheduled_call(influxdb3_local, call_time, args=None): pass")

    def start() -> None:
        worker = workshop.worker(TriggerKind.SCHEDULE, PluginFile("plugin.py"))
        must(worker.run(on_schedule()))
        worker.stop()

    benchmark.pedantic(start, rounds=10, warmup_rounds=1)
