"""Rows reach WAL triggers once each, in order, and what they write appears once."""

from __future__ import annotations

import functools
import os
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from headrace.processing.settings import EngineSettings
from headrace.storage.errors import DiskFull

from tests.processing.engine_lab import EngineLab

COPY = """
    def process_writes(influxdb3_local, table_batches, args=None):
        for batch in table_batches:
            for row in batch["rows"]:
                line = LineBuilder("copy").tag("source", batch["table_name"])
                influxdb3_local.write(line.int64_field("n", row["n"]).time_ns(row["time"]))
"""


def _write_numbers(lab: EngineLab, first: int, last: int, table: str = "numbers") -> None:
    for number in range(first, last):
        lab.write(f"{table} n={number}i {number}")


def test_every_row_written_after_creation_is_processed_once(lab: EngineLab) -> None:
    lab.write("numbers n=-1i 999999")
    lab.trigger(lab.plugin("copy.py", COPY), "table:numbers")
    _write_numbers(lab, 0, 100)
    lab.until(lambda: lab.count("copy") >= 100)
    assert lab.rows("SELECT n, time FROM copy ORDER BY time") == [{"n": n, "time": n} for n in range(100)]


def test_all_tables_gets_tables_that_did_not_exist_when_it_was_created(lab: EngineLab) -> None:
    plugin = lab.plugin(
        "names.py",
        """
        def process_writes(influxdb3_local, table_batches, args=None):
            for batch in table_batches:
                influxdb3_local.info("saw", batch["table_name"], len(batch["rows"]))
        """,
    )
    lab.trigger(plugin, "all_tables")
    _write_numbers(lab, 0, 3, "first")
    _write_numbers(lab, 0, 2, "second")
    lab.until(lambda: sum(int(line.split()[-1]) for line in lab.logs() if "saw first" in line) == 3)
    lab.until(lambda: sum(int(line.split()[-1]) for line in lab.logs() if "saw second" in line) == 2)


def test_arguments_and_a_row_without_a_field_reach_the_plugin_as_at_the_peer(lab: EngineLab) -> None:
    plugin = lab.plugin(
        "show.py",
        """
        def process_writes(influxdb3_local, table_batches, args=None):
            influxdb3_local.info(sorted(args.items()), table_batches[0]["rows"])
        """,
    )
    lab.trigger(plugin, "table:m", {"a": "1", "b": "x y"})
    lab.write('m,t=v f=1.5,s="é" 7\nm f=2.5 8')
    line = lab.until(lambda: [line for line in lab.logs() if "[('a', '1')" in line])[0]
    assert "[('a', '1'), ('b', 'x y')]" in line
    assert "{'f': 1.5, 's': 'é', 't': 'v', 'time': 7}" in line.replace(
        "'t': 'v', 'f': 1.5, 's': 'é'", "'f': 1.5, 's': 'é', 't': 'v'"
    )
    assert "{'f': 2.5, 'time': 8}" in line


def test_a_stopped_server_goes_on_at_the_cursor(lab: EngineLab) -> None:
    lab.trigger(lab.plugin("copy.py", COPY), "table:numbers")
    _write_numbers(lab, 0, 20)
    lab.until(lambda: lab.count("copy") >= 20)
    lab.engine.stop()
    _write_numbers(lab, 20, 50)
    lab.restart()
    lab.until(lambda: lab.count("copy") >= 50)
    assert [row["n"] for row in lab.rows("SELECT n FROM copy ORDER BY time")] == list(range(50))
    runs = lab.rows("SELECT sum(rows_in) AS n FROM system.processing_engine_runs")
    assert runs[0]["n"] == 30


def test_a_disabled_trigger_goes_on_where_it_was_or_from_now(lab: EngineLab) -> None:
    name = lab.trigger(lab.plugin("copy.py", COPY), "table:numbers")
    _write_numbers(lab, 0, 5)
    lab.until(lambda: lab.count("copy") == 5)
    lab.engine.disable_trigger("db", name)
    _write_numbers(lab, 5, 10)
    lab.engine.enable_trigger("db", name)
    lab.until(lambda: lab.count("copy") == 10)
    lab.engine.disable_trigger("db", name)
    _write_numbers(lab, 10, 15)
    lab.engine.enable_trigger("db", name, from_now=True)
    _write_numbers(lab, 15, 20)
    lab.until(lambda: lab.count("copy") == 15)
    assert [row["n"] for row in lab.rows("SELECT n FROM copy ORDER BY time")] == [*range(10), *range(15, 20)]


def test_a_failing_run_is_logged_with_the_plugins_own_lines_and_passed_over(lab: EngineLab) -> None:
    plugin = lab.plugin(
        "fail.py",
        """
        def process_writes(influxdb3_local, table_batches, args=None):
            influxdb3_local.write(LineBuilder("never").int64_field("n", 1))
            for row in table_batches[0]["rows"]:
                if row["n"] == 0:
                    raise RuntimeError("zero is not welcome")
            influxdb3_local.write(LineBuilder("fine").int64_field("n", 1))
        """,
    )
    lab.trigger(plugin, "table:numbers")
    lab.write("numbers n=0i 1")
    lab.until(lambda: any("zero is not welcome" in line and "fail.py" in line for line in lab.logs()))
    lab.write("numbers n=1i 2")
    lab.until(lambda: lab.count("fine") == 1)
    assert lab.count("never") == 1
    assert {row["outcome"] for row in lab.rows("SELECT outcome FROM system.processing_engine_runs")} == {
        "error",
        "success",
    }


def test_retry_repeats_the_same_rows_until_the_plugin_is_mended(lab: EngineLab) -> None:
    lab.plugin("mend.py", "def process_writes(local, batches, args=None):\n    raise ValueError('broken')\n")
    lab.trigger("mend.py", "table:numbers", error_behavior="retry")
    _write_numbers(lab, 0, 5)
    lab.until(lambda: sum("broken" in line for line in lab.logs()) >= 2)
    _write_numbers(lab, 5, 10)
    lab.plugin("mend.py", COPY)
    lab.until(lambda: lab.count("copy") == 10)
    assert [row["n"] for row in lab.rows("SELECT n FROM copy ORDER BY time")] == list(range(10))


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def _repository(directory: Path, port: int = 0) -> Iterator[int]:
    """A plugin repository that answers inside the block; gives its port."""
    server = ThreadingHTTPServer(("127.0.0.1", port), functools.partial(_Files, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_rows_wait_for_a_plugin_whose_repository_does_not_answer_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "copy.py").write_text(textwrap.dedent(COPY))
    with _repository(tmp_path) as port:
        lab = EngineLab(tmp_path / "lab", EngineSettings(plugin_repo=f"http://127.0.0.1:{port}"))
        lab.write("seen v=0 1")
        lab.trigger("gh:copy.py", "table:numbers")
    try:
        lab.restart()
        _write_numbers(lab, 0, 5)
        lab.until(lambda: sum("error getting plugin" in line for line in lab.logs()) >= 2)
        _write_numbers(lab, 5, 10)
        with _repository(tmp_path, port):
            lab.until(lambda: lab.count("copy") == 10)
    finally:
        lab.close()


def test_rows_wait_for_a_plugin_whose_file_is_gone(lab: EngineLab) -> None:
    lab.trigger(lab.plugin("copy.py", COPY), "table:numbers")
    (lab.plugin_dir / "copy.py").unlink()
    _write_numbers(lab, 0, 5)
    lab.until(lambda: any("was not found" in line for line in lab.logs()))
    lab.plugin("copy.py", COPY)
    lab.until(lambda: lab.count("copy") == 5)


def test_disable_stops_before_the_failed_rows_and_loses_none(lab: EngineLab) -> None:
    lab.plugin("mend.py", "def process_writes(local, batches, args=None):\n    raise ValueError('broken')\n")
    name = lab.trigger("mend.py", "table:numbers", error_behavior="disable")
    _write_numbers(lab, 0, 5)
    lab.until(lambda: lab.engine.triggers("db")[0].definition.disabled)
    lab.plugin("mend.py", COPY)
    lab.engine.enable_trigger("db", name)
    lab.until(lambda: lab.count("copy") == 5)


def test_asynchronous_batches_overlap_and_still_commit_once_each(lab: EngineLab) -> None:
    plugin = lab.plugin(
        "slow.py",
        """
        import time
        def process_writes(influxdb3_local, table_batches, args=None):
            time.sleep(0.3)
            for row in table_batches[0]["rows"]:
                influxdb3_local.write(LineBuilder("copy").int64_field("n", row["n"]).time_ns(row["time"]))
        """,
    )
    lab.trigger(plugin, "table:numbers", run_async=True)
    for first in range(0, 60, 5):
        _write_numbers(lab, first, first + 5)
        position = lab.store.wal.last_sequence
        lab.until(lambda position=position: lab.engine.statuses()[0].state == "running" or position)
    lab.until(lambda: lab.count("copy") == 60)
    assert [row["n"] for row in lab.rows("SELECT n FROM copy ORDER BY time")] == list(range(60))


def test_lines_that_cannot_be_stored_are_logged_and_lose_no_others(lab: EngineLab) -> None:
    plugin = lab.plugin(
        "bad.py",
        """
        def process_writes(influxdb3_local, table_batches, args=None):
            influxdb3_local.write(LineBuilder("out").float64_field("f", 1.0).time_ns(1))
            influxdb3_local.write(LineBuilder("out").string_field("f", "no float").time_ns(2))
            influxdb3_local.write_to_db("bad name!", LineBuilder("out").float64_field("f", 3.0))
            influxdb3_local.write_to_db("other", LineBuilder("out").float64_field("f", 4.0))
        """,
    )
    lab.trigger(plugin, "table:numbers")
    _write_numbers(lab, 0, 1)
    lab.until(lambda: lab.count("out") == 1)
    assert lab.rows("SELECT f FROM out", "other") == [{"f": 4.0}]
    assert any("was not written" in line for line in lab.logs())
    assert any("bad name!" in line for line in lab.logs())


def test_what_a_run_wrote_waits_while_the_disk_is_full(lab: EngineLab, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = lab.plugin(
        "wait.py",
        """
        import os, time
        def process_writes(influxdb3_local, table_batches, args=None):
            while not os.path.exists("go"):
                time.sleep(0.01)
            influxdb3_local.write(LineBuilder("out").int64_field("n", 1))
        """,
    )
    lab.trigger(plugin, "table:numbers")
    _write_numbers(lab, 0, 1)
    with monkeypatch.context() as full:
        full.setattr(os, "statvfs", lambda _: SimpleNamespace(f_frsize=4096, f_blocks=1 << 20, f_bavail=0))
        lab.until(lambda: _is_refused(lab, "seen v=1 2"))
        (lab.plugin_dir / "go").touch()
        lab.until(lambda: lab.engine.statuses()[0].runs == 1)
        assert lab.count("out") == 0
    lab.until(lambda: lab.count("out") == 1)


def _is_refused(lab: EngineLab, lines: str) -> bool:
    try:
        lab.write(lines)
    except DiskFull:
        return True
    return False


def test_columns_go_in_and_out_without_rows(lab: EngineLab) -> None:
    plugin = lab.plugin(
        "columns.py",
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        def process_batches(influxdb3_local, batches, args=None):
            for batch in batches:
                data = batch["data"]
                doubled = pc.multiply(data.column("n"), 2)
                influxdb3_local.write_table("doubled", pa.table({"n": doubled, "time": data.column("time")}), tags=[])
        """,
    )
    lab.trigger(plugin, "table:numbers")
    _write_numbers(lab, 0, 10)
    lab.until(lambda: lab.count("doubled") == 10)
    assert [row["n"] for row in lab.rows("SELECT n FROM doubled ORDER BY time")] == list(range(0, 20, 2))


def test_a_trigger_whose_database_is_deleted_stops(lab: EngineLab) -> None:
    from headrace.storage import admin

    lab.trigger(lab.plugin("copy.py", COPY), "table:numbers")
    admin.delete_database(lab.store.ingest, "db")
    lab.engine.refresh()
    assert lab.engine.statuses() == []


@pytest.mark.parametrize("sql", ["trigger_name, state, lag_sequences", "*"])
def test_the_triggers_table_tells_how_a_trigger_is_doing(lab: EngineLab, sql: str) -> None:
    name = lab.trigger(lab.plugin("copy.py", COPY), "table:numbers", {"k": "v"})
    _write_numbers(lab, 0, 3)
    lab.until(lambda: lab.count("copy") == 3)
    row = lab.until(
        lambda: [
            row for row in lab.rows(f"SELECT {sql} FROM system.processing_engine_triggers") if row["lag_sequences"] == 0
        ]
    )[0]
    assert row["trigger_name"] == name
    if sql == "*":
        assert row["trigger_specification"] == '{"single_table_wal_write":{"table_name":"numbers"}}'
        assert (row["error_behavior"], row["disabled"], row["last_outcome"]) == ("log", False, "success")
