from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
from headrace.processing.environment import Interpreter
from headrace.processing.errors import PluginRaised, RunCancelled, TimeLimitExceeded, WorkerCrashed
from headrace.processing.run import PluginFile, RunLimits, RunOutcome
from headrace.processing.specs import TriggerKind
from headrace.storage.ingest import LinesPart, TablePart
from headrace.wal.precision import Precision

from tests.processing.workshop import (
    HOME,
    THIS_INTERPRETER,
    Workshop,
    must,
    on_request,
    on_rows,
    on_schedule,
    open_descriptors,
    wait_for,
)

WAL, SCHEDULE, REQUEST = TriggerKind.WAL, TriggerKind.SCHEDULE, TriggerKind.REQUEST


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    shop = Workshop(tmp_path)
    yield shop
    shop.stop()


def _lines(database: str, body: bytes) -> LinesPart:
    """Lines as a plugin writes them: their times are nanoseconds."""
    return LinesPart(database, body, Precision.NANOSECOND)


def _scheduled(workshop: Workshop, body: str, **limits: float) -> RunOutcome:
    """Run a plugin whose ``process_scheduled_call`` has this body."""
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    workshop.write(f"import os, sys, time\n\ndef process_scheduled_call(local, call_time, args=None):\n{lines}\n")
    worker = workshop.worker(SCHEDULE, limits=RunLimits(**{"time_s": 20.0, **limits}))  # type: ignore[arg-type]
    return worker.run(on_schedule({"k": "v"}))


# What the plugin is called with


def test_written_rows_are_dicts_without_what_a_row_lacks(workshop: Workshop) -> None:
    workshop.write(
        """
        def process_writes(influxdb3_local, table_batches, args=None):
            for batch in table_batches:
                influxdb3_local.info(batch["table_name"], batch["rows"], args)
        """
    )
    outcome = must(workshop.worker(WAL).run(on_rows(("home", HOME), ("attic", HOME.slice(1, 1)), arguments={"a": "b"})))
    assert workshop.services.texts() == [
        "home [{'room': 'Kitchen', 'temp': 21.5, 'time': 1}, {'room': 'Hall', 'time': 2}, {'temp': 19.0, 'time': 3}] "
        "{'a': 'b'}",
        "attic [{'room': 'Hall', 'time': 2}] {'a': 'b'}",
    ]
    assert outcome.rows_in == 4
    assert outcome.outcome == "success"


def test_a_vectorised_plugin_gets_record_batches(workshop: Workshop) -> None:
    workshop.write(
        """
        def process_writes(local, batches, args=None):
            raise AssertionError("process_batches is preferred")

        def process_batches(local, batches, args=None):
            for batch in batches:
                local.write_table("copy", batch["data"], tags=["room"])
                local.info(batch["table_name"], type(batch["data"]).__name__, args)
        """
    )
    outcome = must(workshop.worker(WAL).run(on_rows()))
    assert workshop.services.texts() == ["home RecordBatch None"]
    [part] = outcome.writes
    assert isinstance(part, TablePart)
    assert (part.database, part.table, part.tags) == ("db", "copy", ("room",))
    assert part.data.equals(HOME)
    assert (outcome.rows_in, outcome.rows_out) == (3, 3)


def test_a_scheduled_call_gets_a_naive_local_time_of_whole_seconds(workshop: Workshop) -> None:
    workshop.write("def process_scheduled_call(local, call_time, args=None): local.info(repr(call_time), args)")
    at = datetime(2026, 3, 4, 5, 6, 7)
    must(workshop.worker(SCHEDULE).run(on_schedule({}, int(at.timestamp()) * 1_000_000_000 + 999_999_999)))
    assert workshop.services.texts() == [f"{at!r} None"]


def test_a_request_gets_its_parts_and_answers(workshop: Workshop) -> None:
    workshop.write(
        """
        def process_request(influxdb3_local, query_parameters, request_headers, request_body, args=None):
            assert isinstance(request_body, bytes)
            return {"q": query_parameters, "h": request_headers, "b": len(request_body)}, 201, {"X-A": "b"}
        """
    )
    response = must(workshop.worker(REQUEST).run(on_request(b"\0\xff" * 500_000, room="Küche"))).response
    assert response is not None
    assert (response.status, response.headers) == (201, {"Content-Type": "application/json", "X-A": "b"})
    assert response.body == b'{"q": {"room": "K\\u00fcche"}, "h": {"content-type": "text/plain"}, "b": 1000000}'


def test_a_request_plugin_that_returns_nothing_fails(workshop: Workshop) -> None:
    workshop.write("def process_request(local, parameters, headers, body, args=None): pass")
    outcome = workshop.worker(REQUEST).run(on_request())
    assert isinstance(outcome.error, PluginRaised)
    assert "Unsupported return type from Python function" in outcome.error.message
    assert outcome.response is None


# The plugin API


def test_the_example_of_the_documentation_runs(workshop: Workshop) -> None:
    workshop.write(
        """
        def process_writes(influxdb3_local, table_batches, args=None):
            for row in influxdb3_local.query("SELECT * FROM home where room = '$room'", {"room": "Kitchen"}):
                influxdb3_local.info("row:", row)
            line = LineBuilder("some_table").tag("tag1", "tag1_value").tag("tag2", "tag2_value")
            line.int64_field("field1", 1).float64_field("field2", 2.0).string_field("field3", "number three")
            influxdb3_local.write(line)
            influxdb3_local.write_to_db("mytestdb", LineBuilder("other").int64_field("f", 1).time_ns(1302))
            influxdb3_local.write(LineBuilder("second").bool_field("ok", True))
            influxdb3_local.info("done")
        """
    )
    outcome = must(workshop.worker(WAL).run(on_rows()))
    assert outcome.writes == (
        _lines(
            "db",
            b'some_table,tag1=tag1_value,tag2=tag2_value field1=1i,field2=2.0,field3="number three"\nsecond ok=t',
        ),
        _lines("mytestdb", b"other f=1i 1302"),
    )
    assert outcome.rows_out == 3
    assert workshop.services.queries == [("SELECT * FROM home where room = '$room'", {"room": "Kitchen"}, "db")]
    assert workshop.services.texts()[0] == "row: {'room': 'Kitchen', 'temp': 21.5, 'time': 1}"
    assert workshop.services.texts()[-1] == "done"


def test_queries_answer_with_rows_or_with_a_table(workshop: Workshop) -> None:
    outcome = _scheduled(
        workshop,
        """
local.info(local.query("SELECT", database="other"))
table = local.query_arrow("SELECT", {"a": 1, "b": 2.5, "c": True, "d": None, "e": "x"})
local.info(table.num_rows, table.column_names)
local.info(local.query("empty"), local.query_arrow("empty").schema.names)
""",
    )
    must(outcome)
    rows = [
        {"room": "Kitchen", "temp": 21.5, "time": 1},
        {"room": "Hall", "temp": None, "time": 2},
        {"room": None, "temp": 19.0, "time": 3},
        {"room": "Hall", "temp": None, "time": 2},
    ]
    assert workshop.services.texts() == [str(rows), "4 ['room', 'temp', 'time']", "[] ['room', 'temp', 'time']"]
    assert [database for _, _, database in workshop.services.queries] == ["other", "db", "db", "db"]
    assert all(answer.closed for answer in workshop.services.answers)


def test_a_failed_query_is_a_query_error_in_the_plugin(workshop: Workshop) -> None:
    must(
        _scheduled(
            workshop,
            """
try:
    local.query("fail")
except Exception as error:
    local.info(type(error).__name__, error)
""",
        )
    )
    assert workshop.services.texts() == ["QueryError error: no such table executing query on db: fail"]


def test_a_large_answer_streams_through(workshop: Workshop) -> None:
    must(_scheduled(workshop, "local.info(local.query_arrow('large').num_rows)"))
    assert workshop.services.texts() == [str(8 << 20)]


def test_synchronous_writes_are_done_when_the_call_returns(workshop: Workshop) -> None:
    outcome = _scheduled(
        workshop,
        """
local.write(LineBuilder("later").int64_field("f", 1))
local.write_sync(LineBuilder("now").int64_field("f", 2), True)
local.write_sync_to_db("other", LineBuilder("now").int64_field("f", 3))
try:
    local.write_sync_to_db("refused", LineBuilder("now").int64_field("f", 4), no_sync=False)
except Exception as error:
    local.info(error)
raise ValueError("after all")
""",
    )
    assert isinstance(outcome.error, PluginRaised)
    assert outcome.writes == ()
    assert outcome.rows_out == 2
    assert workshop.services.written == [
        ((_lines("db", b"now f=2i"),), True),
        ((_lines("other", b"now f=3i"),), False),
    ]
    assert workshop.services.texts() == ["error writing line protocol to refused: this database takes nothing"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("local.write('m f=1')", "TypeError: write() takes a LineBuilder, not str"),
        ("local.write(LineBuilder('m'))", "InvalidLineError: At least one field is required"),
        ("local.write_to_db('', LineBuilder('m').int64_field('f', 1))", "TypeError: a database name is a str"),
        ("local.query(7)", "TypeError: a query is a str, not int"),
        (
            "local.query('SELECT', {'p': [1]})",
            "query parameter 'p' is a str, number, bool or None, not list",
        ),
        ("local.write_table('t', [1])", "TypeError: write_table() takes a pyarrow.Table, not list"),
        ("import pyarrow; local.write_table('t', pyarrow.table({'a': [1]}), tags='a')", "write tags=['a']"),
        ("import pyarrow; local.write_table('t', pyarrow.table({'a': [1]}), tags=['b'])", "tag 'b' is not a column"),
        ("import pyarrow; local.write_table('t', pyarrow.table({'a': [[1]]}))", "column 'a' is of type list"),
        ("local.cache.put('k', 1, ttl=-1)", "ValueError: ttl must be a number of seconds"),
        ("local.cache.get(7)", "TypeError: a cache key is a str, not int"),
    ],
)
def test_misuse_of_the_api_is_an_exception_that_says_so(workshop: Workshop, call: str, message: str) -> None:
    outcome = _scheduled(workshop, call)
    assert isinstance(outcome.error, PluginRaised)
    assert message in outcome.error.message


def test_anything_with_a_build_method_can_be_written(workshop: Workshop) -> None:
    outcome = _scheduled(
        workshop,
        """
class Batch:
    def build(self):
        return "m f=1i 1\\nm f=2i 2"
local.write(Batch())
""",
    )
    assert must(outcome).writes == (_lines("db", b"m f=1i 1\nm f=2i 2"),)
    assert outcome.rows_out == 2


def test_threads_of_a_plugin_may_all_use_the_api(workshop: Workshop) -> None:
    outcome = _scheduled(
        workshop,
        """
from concurrent.futures import ThreadPoolExecutor
def work(number):
    local.info("thread", number)
    local.cache.put(str(number), number)
    local.write(LineBuilder("m").int64_field("f", number))
    return len(local.query("SELECT")), local.cache.get(str(number))
with ThreadPoolExecutor(8) as pool:
    local.info(sorted(pool.map(work, range(40))) == sorted((4, number) for number in range(40)))
""",
    )
    must(outcome)
    assert outcome.rows_out == 40
    assert workshop.services.texts()[-1] == "True"


def test_a_run_that_is_over_takes_no_more_writes_and_its_late_log_lines_come_with_the_next(workshop: Workshop) -> None:
    workshop.write(
        """
        import threading
        kept = []

        def process_scheduled_call(local, call_time, args=None):
            if kept:
                kept[0].info("late")
                try:
                    kept[0].write(LineBuilder("m").int64_field("f", 1))
                except RuntimeError as error:
                    local.info(error)
            kept.append(local)
        """
    )
    worker = workshop.worker(SCHEDULE)
    must(worker.run(on_schedule()))
    outcome = must(worker.run(on_schedule()))
    assert outcome.writes == ()
    assert any("this run of the plugin is over" in text for text in workshop.services.texts())
    wait_for(lambda: not worker.run(on_schedule()).error and "late" in workshop.services.texts())


# The cache


def test_cached_objects_survive_runs_and_restarts_with_what_was_changed_in_place(workshop: Workshop) -> None:
    source = """
        def process_scheduled_call(local, call_time, args=None):
            seen = local.cache.get("seen", default=None)
            if seen is None:
                seen = []
                local.cache.put("seen", seen)
            seen.append(len(seen))
            local.info(seen, local.cache.get("seen") is seen)
        """
    worker = None
    for _ in range(2):
        workshop.write(source)
        worker = worker or workshop.worker(SCHEDULE)
        for _ in range(2):
            must(worker.run(on_schedule()))
    assert workshop.services.texts() == ["[0] True", "[0, 1] True", "[0, 1, 2] True", "[0, 1, 2, 3] True"]


def test_what_cannot_be_pickled_lives_as_long_as_the_process(workshop: Workshop) -> None:
    source = """
        import threading

        def process_scheduled_call(local, call_time, args=None):
            local.info(local.cache.get("lock", "none") != "none")
            local.cache.put("lock", threading.Lock())
            local.cache.put("shared", threading.Lock(), use_global=True)
            local.cache.put("gone", threading.Lock())
            assert local.cache.delete("gone") and local.cache.get("gone") is None
        """
    workshop.write(source)
    worker = workshop.worker(SCHEDULE)
    must(worker.run(on_schedule()))
    must(worker.run(on_schedule()))
    workshop.write(source + "\n")
    must(worker.run(on_schedule()))
    assert workshop.services.texts("INFO") == ["False", "True", "False"]
    assert "'shared' cannot be pickled" in workshop.services.texts("WARN")[0]


def test_one_workers_global_value_is_anothers(workshop: Workshop) -> None:
    define = "def process_scheduled_call(local, call_time, args): "
    workshop.write(define + "local.cache.put('k', {'v': 1}, use_global=True)", "a.py")
    workshop.write(define + "local.info(local.cache.get('k', use_global=True))", "b.py")
    reader, writer = workshop.worker(SCHEDULE, PluginFile("b.py")), workshop.worker(SCHEDULE, PluginFile("a.py"))
    for worker in (reader, writer, reader):
        must(worker.run(on_schedule()))
    assert workshop.services.texts() == ["None", "{'v': 1}"]


# Logs


def test_printed_lines_are_log_lines_in_order_with_the_others(workshop: Workshop) -> None:
    must(
        _scheduled(
            workshop,
            """
local.info("one", 1, None)
print("two\\nthree")
local.warn("four")
print("five", file=sys.stderr)
print("six", end="")
local.error({"seven": 7})
""",
        )
    )
    assert workshop.services.logged == [
        ("INFO", "one 1 None"),
        ("INFO", "two"),
        ("INFO", "three"),
        ("WARN", "four"),
        ("WARN", "five"),
        ("ERROR", "{'seven': 7}"),
        ("INFO", "six"),
    ]


def test_what_child_processes_and_native_code_print_is_logged(workshop: Workshop) -> None:
    outcome = _scheduled(
        workshop,
        """
os.system("echo child; echo problem >&2")
os.write(1, b"native \\xff, no end")
time.sleep(0.3)
""",
    )
    must(outcome)
    worker = workshop.workers[0]
    wait_for(lambda: not worker.run(on_schedule()).error and len(workshop.services.logged) >= 3)
    worker.stop()
    assert ("INFO", "child") in workshop.services.logged
    assert ("WARN", "problem") in workshop.services.logged


def test_log_lines_beyond_the_bound_are_counted_in_one_line(workshop: Workshop) -> None:
    outcome = must(_scheduled(workshop, "for n in range(1_000): local.info(n)", log_lines=10))
    assert (outcome.log_lines, outcome.log_lines_dropped) == (10, 990)
    assert workshop.services.logged[-1] == (
        "WARN",
        "990 log lines of this run were dropped: it logged more than a run may",
    )
    assert workshop.services.texts()[:10] == [str(n) for n in range(10)]


def test_a_line_of_log_has_a_bound_and_no_broken_text(workshop: Workshop) -> None:
    must(_scheduled(workshop, "local.info('x' * 1_000_000)\nlocal.info('a\\ud800b')"))
    long, odd = workshop.services.texts()
    assert 60_000 < len(long) < 70_000
    assert odd == "a?b"


# Errors


def test_a_traceback_has_the_plugins_lines_and_nothing_of_ours(workshop: Workshop) -> None:
    workshop.write(
        """
        import json

        def inner():
            json.loads("{")

        def process_writes(local, batches, args=None):
            try:
                inner()
            except ValueError as error:
                raise RuntimeError("outer") from error
        """
    )
    worker = workshop.worker(WAL)
    outcome = worker.run(on_rows())
    assert isinstance(outcome.error, PluginRaised)
    assert outcome.error.message == "RuntimeError: outer"
    assert 'File "plugin.py", line 5, in inner' in outcome.traceback
    assert "direct cause" in outcome.traceback
    assert "headrace" not in outcome.traceback.replace("headrace_", "")
    assert "worker_main" not in outcome.traceback
    pid = worker.pid
    assert isinstance(worker.run(on_rows()).error, PluginRaised)
    assert worker.pid == pid  # an exception costs the run, not the process


def test_an_error_inside_the_api_ends_at_the_plugins_line(workshop: Workshop) -> None:
    outcome = _scheduled(workshop, "local.write(7)")
    assert outcome.traceback.splitlines()[:3] == [
        "Traceback (most recent call last):",
        '  File "plugin.py", line 4, in process_scheduled_call',
        "    local.write(7)",
    ]
    assert outcome.traceback.splitlines()[-1] == "TypeError: write() takes a LineBuilder, not int"


def test_a_timeout_shows_where_the_plugin_was(workshop: Workshop) -> None:
    outcome = _scheduled(workshop, "\n\nwhile True: time.sleep(60)", time_s=0.4)
    assert isinstance(outcome.error, TimeLimitExceeded)
    assert "KeyboardInterrupt" in outcome.traceback
    assert "time.sleep(60)" in outcome.traceback
    assert workshop.workers[0].pid is None


def test_a_deadline_of_the_caller_counts_too(workshop: Workshop) -> None:
    worker = workshop.worker(SCHEDULE)
    for source in ("", "\ntime.sleep(60)"):
        workshop.write("import time\ndef process_scheduled_call(local, call_time, args): time.sleep(60)" + source)
        outcome = worker.run(on_schedule(), deadline=time.monotonic() + 0.5)
        assert isinstance(outcome.error, TimeLimitExceeded)
        assert "deadline of this run" in outcome.error.message


def test_an_interpreter_that_is_not_there_is_an_error_of_the_run(workshop: Workshop) -> None:
    descriptors = open_descriptors()
    workshop.write("def process_scheduled_call(local, call_time, args): pass")
    nowhere = Interpreter(Path("/nowhere/bin/python"), (), 0)
    outcome = workshop.worker(SCHEDULE, interpreter=lambda: nowhere).run(on_schedule())
    assert isinstance(outcome.error, WorkerCrashed)
    assert "could not be started" in outcome.error.message
    assert open_descriptors() <= descriptors


def test_a_new_generation_of_the_environment_gets_a_new_process(workshop: Workshop) -> None:
    workshop.write("def process_scheduled_call(local, call_time, args): pass")
    current = [THIS_INTERPRETER]
    worker = workshop.worker(SCHEDULE, interpreter=lambda: current[0])
    must(worker.run(on_schedule()))
    first = worker.pid
    must(worker.run(on_schedule()))
    assert worker.pid == first
    current[0] = Interpreter(THIS_INTERPRETER.executable, (), 1)
    must(worker.run(on_schedule()))
    assert worker.pid != first


# Ends


def test_cancelling_interrupts_the_plugin_and_refuses_later_runs(workshop: Workshop) -> None:
    workshop.write(
        """
        import time

        def process_scheduled_call(local, call_time, args):
            local.info("running")
            try:
                time.sleep(60)
            except KeyboardInterrupt as interrupt:
                print("interrupted:", interrupt)
                local.info("not reached")
        """
    )
    worker = workshop.worker(SCHEDULE)
    outcomes: list[RunOutcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(worker.run(on_schedule())))
    thread.start()
    wait_for(lambda: "running" in workshop.services.texts())
    worker.cancel()
    thread.join(10)
    assert isinstance(outcomes[0].error, RunCancelled)
    assert workshop.services.texts() == [
        "running",
        "interrupted: influxdb3 is shutting down; aborting plugin execution",
    ]
    assert isinstance(worker.run(on_schedule()).error, RunCancelled)
    assert worker.pid is None


def test_cancelling_a_worker_that_is_starting_is_quiet(workshop: Workshop) -> None:
    workshop.write("def process_scheduled_call(local, call_time, args=None): pass")
    for attempt in range(8):
        worker = workshop.worker(SCHEDULE)
        outcomes: list[RunOutcome] = []
        run = threading.Thread(target=lambda: outcomes.append(worker.run(on_schedule())))  # noqa: B023  joined below
        run.start()
        wait_for(lambda: worker.pid is not None)  # noqa: B023
        time.sleep(attempt * 0.005)  # each time at another moment of its start
        worker.cancel()
        run.join()
        assert outcomes[0].error is None or isinstance(outcomes[0].error, RunCancelled)
    assert workshop.services.logged == []


def test_cancelling_during_a_query_waits_for_its_answer_and_no_longer(workshop: Workshop) -> None:
    release = threading.Event()
    query = workshop.services.query
    workshop.services.query = lambda *args: (release.wait(20), query(*args))[1]  # type: ignore[method-assign]
    workshop.write(
        """
        def process_scheduled_call(local, call_time, args):
            try:
                local.info("asking")
                local.query("SELECT")
            finally:
                print("left")
        """
    )
    worker = workshop.worker(SCHEDULE, limits=RunLimits(grace_s=10))
    outcomes: list[RunOutcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(worker.run(on_schedule())))
    thread.start()
    wait_for(lambda: "asking" in workshop.services.texts())
    worker.cancel()
    release.set()
    thread.join(10)
    assert isinstance(outcomes[0].error, RunCancelled)
    assert workshop.services.texts() == ["asking", "left"]


def test_an_idle_worker_runs_its_exit_handlers_when_it_is_stopped(workshop: Workshop, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    workshop.write(
        f"""
        import atexit, pathlib
        atexit.register(pathlib.Path({str(witness)!r}).touch)

        def process_scheduled_call(local, call_time, args): pass
        """
    )
    worker = workshop.worker(SCHEDULE)
    must(worker.run(on_schedule()))
    worker.stop()
    assert witness.exists()
    worker.stop()


def test_a_worker_killed_between_runs_is_replaced(workshop: Workshop) -> None:
    workshop.write("def process_scheduled_call(local, call_time, args): local.info('ran')")
    worker = workshop.worker(SCHEDULE)
    must(worker.run(on_schedule()))
    assert worker.pid is not None
    status = Path("/proc", str(worker.pid), "stat")
    os.kill(worker.pid, signal.SIGKILL)
    wait_for(lambda: b") Z" in status.read_bytes())
    must(worker.run(on_schedule()))
    assert workshop.services.texts() == ["ran", "ran"]


def test_workers_die_with_the_server(tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text(
        "import os, time\ndef process_scheduled_call(local, call_time, args):\n"
        "    open('pid', 'w').write(str(os.getpid()))\n    while True: pass\n"
    )
    server = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib; from tests.processing.workshop import *\n"
            "shop = Workshop(pathlib.Path(sys.argv[1]))\n"
            "shop.worker(TriggerKind.SCHEDULE).run(on_schedule())",
            str(tmp_path),
        ],
        cwd=Path(__file__).parents[2],
    )
    try:
        wait_for(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()), 30)
        worker = Path("/proc", (tmp_path / "pid").read_text())
        assert worker.exists()
    finally:
        server.kill()
        server.wait()
    wait_for(lambda: not worker.exists() or b") Z" in (worker / "stat").read_bytes())


# What a plugin can see


def test_the_environment_holds_what_plugins_look_for_and_no_secret_of_the_server(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFLUXDB3_AUTH_TOKEN", "for plugins")
    monkeypatch.setenv("HEADRACE_ADMIN_TOKEN_FILE", "/secret")
    monkeypatch.setenv("INFLUXDB3_TLS_KEY", "/key")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "theirs")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    names = [
        "INFLUXDB3_AUTH_TOKEN",
        "HEADRACE_ADMIN_TOKEN_FILE",
        "INFLUXDB3_TLS_KEY",
        "TWILIO_AUTH_TOKEN",
        "PYTHONPATH",
    ]
    names.append("INFLUXDB3_PLUGIN_DIR")
    must(_scheduled(workshop, f"local.info([os.environ.get(name) for name in {names}], os.getcwd())"))
    directory = str(workshop.plugin_dir)
    assert workshop.services.texts() == [f"{['for plugins', None, None, 'theirs', None, directory]} {directory}"]


def test_a_worker_inherits_no_descriptor_of_the_server(workshop: Workshop, tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        must(
            _scheduled(
                workshop,
                """
links = []
for name in os.listdir("/proc/self/fd"):
    try:
        links.append(os.readlink(f"/proc/self/fd/{name}").split(":")[0])
    except OSError:
        pass
local.info(sorted(links))
""",
            )
        )
    assert workshop.services.texts() == ["['/dev/null', 'pipe', 'pipe', 'socket']"]


def test_the_figures_of_a_run_are_reported(workshop: Workshop) -> None:
    outcome = must(_scheduled(workshop, "held = b'x' * (64 << 20)\ntime.sleep(0.3)\nlocal.info(len(held))"))
    assert outcome.peak_memory_bytes > 64 << 20
    assert 0.3 <= outcome.duration_s < 10
    assert abs(outcome.started_ns - time.time_ns()) < 60 * 1_000_000_000
    assert outcome.rows_in == outcome.rows_out == 0


def test_columns_of_many_databases_come_back_in_order_of_first_use(workshop: Workshop) -> None:
    outcome = _scheduled(
        workshop,
        """
import pyarrow as pa
local.write_to_db("b", LineBuilder("m").int64_field("f", 1))
local.write_table("t", pa.table({"v": [1.5, None], "s": ["x", "y"]}), database="a")
local.write_table("empty", pa.table({"v": pa.array([], pa.int64())}))
local.write_to_db("b", LineBuilder("m").int64_field("f", 2))
""",
    )
    first, second = must(outcome).writes
    assert first == _lines("b", b"m f=1i\nm f=2i")
    assert isinstance(second, TablePart)
    assert (second.database, second.table, second.data.to_pylist()) == (
        "a",
        "t",
        [{"v": 1.5, "s": "x"}, {"v": None, "s": "y"}],
    )
    assert second.data.schema == pa.schema({"v": pa.float64(), "s": pa.utf8()})
