"""Scheduled and request triggers, end to end inside one process."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from headrace.processing.errors import (
    EngineDisabled,
    PluginRaised,
    RequestPathTaken,
    RequestTriggerNotFound,
    TriggerBusy,
)
from headrace.processing.settings import EngineSettings
from headrace.processing.specs import NANOSECONDS

from tests.processing.engine_lab import EngineLab


def test_every_fires_at_multiples_of_its_period_and_passes_a_naive_local_time(lab: EngineLab) -> None:
    plugin = lab.plugin(
        "tick.py",
        """
        def process_scheduled_call(influxdb3_local, call_time, args=None):
            assert call_time.tzinfo is None
            influxdb3_local.write(LineBuilder("ticks").int64_field("at", int(call_time.timestamp())))
        """,
    )
    lab.trigger(plugin, "every:1s")
    lab.until(lambda: lab.count("ticks") >= 2)
    times = sorted(row["at"] for row in lab.rows("SELECT at FROM ticks"))
    assert len(set(times)) == len(times)
    assert abs(times[-1] - time.time()) < 30


def test_missed_times_are_skipped_and_logged(lab: EngineLab) -> None:
    plugin = lab.plugin("tick.py", "def process_scheduled_call(local, call_time, args=None):\n    local.info('tick')\n")
    lab.trigger(plugin, "every:200ms")
    lab.until(lambda: lab.logs().count("INFO: tick") >= 1)
    lab.engine.stop()
    stopped = time.time()
    lab.store.close()
    lab.until(lambda: time.time() - stopped > 1.0)
    lab._open()
    lab.until(lambda: any("missed and skipped" in line for line in lab.logs()))


def test_a_slow_run_skips_the_times_it_overlaps(lab: EngineLab) -> None:
    plugin = lab.plugin(
        "slow.py", "import time\ndef process_scheduled_call(local, call_time, args=None):\n    time.sleep(0.5)\n"
    )
    lab.trigger(plugin, "every:100ms")
    lab.until(lambda: any("missed and skipped" in line for line in lab.logs()))


def test_the_next_run_of_a_schedule_can_be_seen(lab: EngineLab) -> None:
    plugin = lab.plugin("tick.py", "def process_scheduled_call(local, call_time, args=None):\n    pass\n")
    lab.trigger(plugin, "cron:0 0 0 1 1 *")
    status = lab.until(lambda: [status for status in lab.engine.statuses() if status.next_run_ns])[0]
    assert status.next_run_ns > time.time_ns()
    assert status.next_run_ns % (3600 * NANOSECONDS) == 0


def test_a_request_is_answered_and_its_writes_are_stored_before(lab: EngineLab) -> None:
    plugin = lab.plugin(
        "hook.py",
        """
        def process_request(influxdb3_local, query_parameters, request_headers, request_body, args=None):
            influxdb3_local.write(LineBuilder("hooks").string_field("body", request_body.decode()))
            return {"seen": query_parameters["q"], "header": request_headers["x-a"]}, 201
        """,
    )
    lab.trigger(plugin, "request:hooks/alerts")
    answer = lab.engine.handle_request("hooks/alerts", {"q": "1"}, {"x-a": "b"}, b"hello")
    assert (answer.status, answer.body) == (201, b'{"seen": "1", "header": "b"}')
    assert lab.rows("SELECT body FROM hooks") == [{"body": "hello"}]


def test_unknown_paths_failures_and_taken_paths_are_told(lab: EngineLab) -> None:
    plugin = lab.plugin("hook.py", "def process_request(local, q, h, b, args=None):\n    raise KeyError('nope')\n")
    lab.trigger(plugin, "request:one")
    with pytest.raises(RequestTriggerNotFound):
        lab.engine.handle_request("two", {}, {}, b"")
    with pytest.raises(PluginRaised, match="nope"):
        lab.engine.handle_request("one", {}, {}, b"")
    with pytest.raises(RequestPathTaken, match="one"):
        lab.trigger(plugin, "request:one")


def test_requests_beyond_the_queue_are_refused(tmp_path: Path) -> None:
    lab = EngineLab(tmp_path, EngineSettings(request_queue=1))
    try:
        lab.write("seen v=0 1")
        plugin = lab.plugin(
            "slow.py",
            "import time\ndef process_request(local, q, h, b, args=None):\n    time.sleep(2)\n    return 'ok'\n",
        )
        lab.trigger(plugin, "request:slow")
        threads = [threading.Thread(target=lab.engine.handle_request, args=("slow", {}, {}, b"")) for _ in range(2)]
        for thread in threads:
            thread.start()
        with pytest.raises(TriggerBusy):
            lab.until(lambda: lab.engine.handle_request("slow", {}, {}, b"") and False)
        for thread in threads:
            thread.join()
    finally:
        lab.close()


def test_without_a_plugin_directory_everything_says_so(lab: EngineLab) -> None:
    from headrace.processing.engine import ProcessingEngine
    from headrace.query.engine import QueryEngine
    from headrace.query.settings import QuerySettings

    engine = ProcessingEngine(lab.store, QueryEngine(lab.store, QuerySettings()), EngineSettings())
    engine.start()
    with pytest.raises(EngineDisabled, match="--plugin-dir"):
        engine.create_trigger("db", "t", "x.py", "all_tables")
    with pytest.raises(EngineDisabled):
        engine.handle_request("x", {}, {}, b"")
    engine.stop()
