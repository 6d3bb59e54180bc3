"""Test runs call the plugin for real and store nothing."""

from __future__ import annotations

import time

import pytest
from headrace.processing.errors import InvalidTestInput, InvalidTriggerSpec, PluginNotFound
from headrace.processing.plugin_test import TestSubject
from headrace.processing.run import RequestCall

from tests.processing.engine_lab import EngineLab

PLUGIN = """
    def process_writes(influxdb3_local, table_batches, args=None):
        for batch in table_batches:
            influxdb3_local.info("arg1:", args["arg1"], "rows:", len(batch["rows"]))
            influxdb3_local.write(LineBuilder("out").tag("t", "a b").int64_field("n", len(batch["rows"])).time_ns(5))
        influxdb3_local.write_to_db("elsewhere", LineBuilder("x").string_field("s", "two\\nlines").time_ns(6))
        found = influxdb3_local.query("SELECT count(*) AS n FROM seen")
        influxdb3_local.warn(found)

    def process_scheduled_call(influxdb3_local, call_time, args=None):
        influxdb3_local.write(LineBuilder("seen").string_field("v", "not a float"))

    def process_request(influxdb3_local, query_parameters, request_headers, request_body, args=None):
        return query_parameters["name"], 202
"""


def test_a_wal_test_returns_logs_and_writes_and_stores_neither(lab: EngineLab) -> None:
    subject = TestSubject(lab.plugin("p.py", PLUGIN), "db", {"arg1": "hello"})
    before = lab.store.wal.last_sequence
    result = lab.engine.tester.wal(subject, lines="m,tag=x f=1.0 123\nm f=2.0 124").as_json()
    assert result["log_lines"] == ["INFO: arg1: hello rows: 2", "WARN: [{'n': 1}]"]
    assert result["database_writes"] == {"db": ["out,t=a\\ b n=2i 5"], "elsewhere": ['x s="two\nlines" 6']}
    assert result["errors"] == []
    assert result["duration_ms"] > 0
    assert result["peak_memory_bytes"] > 0
    assert lab.store.wal.last_sequence == before
    assert lab.engine.journal.lines("db") == []


def test_the_database_need_not_exist_for_typed_rows(lab: EngineLab) -> None:
    subject = TestSubject(lab.plugin("p.py", "def process_writes(local, batches, args=None):\n    pass\n"), "nowhere")
    assert lab.engine.tester.wal(subject, lines="m f=1").errors == []


def test_real_rows_of_the_last_minutes_can_be_fed(lab: EngineLab) -> None:
    lab.write(f"m,host=a f=1.5 {time.time_ns()}\nm,host=b f=2.5 1")
    plugin = lab.plugin(
        "rows.py",
        """
        def process_writes(influxdb3_local, table_batches, args=None):
            for batch in table_batches:
                influxdb3_local.info(batch["table_name"], [(row["host"], row["f"]) for row in batch["rows"]])
        """,
    )
    result = lab.engine.tester.wal(TestSubject(plugin, "db"), last="10m")
    assert result.log_lines == ["INFO: m [('a', 1.5)]"]
    with pytest.raises(InvalidTestInput, match="unit 'x'"):
        lab.engine.tester.wal(TestSubject(plugin, "db"), last="10x")


def test_would_be_writes_are_checked_against_the_schema(lab: EngineLab) -> None:
    subject = TestSubject(lab.plugin("p.py", PLUGIN), "db")
    result = lab.engine.tester.schedule(subject, "0 0 0 * * *")
    assert result.trigger_time is not None
    assert result.trigger_time.endswith("T00:00:00Z")
    assert len(result.errors) == 1
    assert "'v'" in result.errors[0]


def test_a_request_test_shows_the_response(lab: EngineLab) -> None:
    subject = TestSubject(lab.plugin("p.py", PLUGIN), "db")
    result = lab.engine.tester.request(subject, RequestCall({"name": "n"}, {}, b""))
    assert result.as_json()["response"] == {"status": 202, "headers": result.response.headers, "body": "n"}  # type: ignore[union-attr]


def test_errors_carry_the_plugins_traceback(lab: EngineLab) -> None:
    plugin = lab.plugin("broken.py", "def process_writes(local, batches, args=None):\n    return 1 / 0\n")
    (error,) = lab.engine.tester.wal(TestSubject(plugin, "db"), lines="m f=1").errors
    assert "division by zero" in error
    assert "broken.py" in error
    assert "worker_main" not in error


def test_each_test_reads_the_file_anew(lab: EngineLab) -> None:
    for text in ("one", "two"):
        plugin = lab.plugin("p.py", f"def process_writes(local, batches, args=None):\n    local.info('{text}')\n")
        assert lab.engine.tester.wal(TestSubject(plugin, "db"), lines="m f=1").log_lines == [f"INFO: {text}"]


def test_what_cannot_be_tested_is_refused(lab: EngineLab) -> None:
    subject = TestSubject(lab.plugin("p.py", PLUGIN), "db")
    with pytest.raises(InvalidTestInput, match="line 1"):
        lab.engine.tester.wal(subject, lines="nonsense")
    with pytest.raises(InvalidTestInput):
        lab.engine.tester.wal(subject)
    with pytest.raises(InvalidTriggerSpec):
        lab.engine.tester.schedule(subject, "not cron")
    with pytest.raises(PluginNotFound):
        lab.engine.tester.wal(TestSubject("missing.py", "db"), lines="m f=1")
