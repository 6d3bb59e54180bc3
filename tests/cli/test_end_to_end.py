"""The commands against the server itself: databases, tables, tokens, rows, triggers and files."""

import json
import re
import subprocess
import sys

import pytest

from tests.harness import ServerProcess

PLUGIN = """
def process_writes(influxdb3_local, table_batches, args=None):
    for table_batch in table_batches:
        line = LineBuilder("seen").tag("table", table_batch["table_name"]).int64_field("rows", len(table_batch["rows"]))
        influxdb3_local.write(line)
    influxdb3_local.info(str(args))


def process_request(influxdb3_local, query_parameters, request_headers, request_body, args=None):
    return {"got": request_body.decode(), "query": query_parameters}, 201
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One server for the module; each test has databases of its own."""
    directory = tmp_path_factory.mktemp("server")
    (directory / "plugins").mkdir()
    (directory / "plugins" / "seen.py").write_text(PLUGIN)
    with ServerProcess(directory, "--plugin-dir", str(directory / "plugins"), auth=True) as running:
        yield running


@pytest.fixture
def cli(run, shared, monkeypatch):
    monkeypatch.setenv("INFLUXDB3_HOST_URL", shared.url)
    monkeypatch.setenv("INFLUXDB3_AUTH_TOKEN", str(shared.token))
    return run


def rows(outcome):
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_a_database_comes_changes_and_goes(cli):
    created = cli("create", "database", "life", "--retention-period", "30d")
    assert created.out == 'Database "life" created successfully\n'
    again = cli("create", "database", "life")
    assert again.code == 1
    assert "[409 Conflict]" in again.err
    assert {"iox::database": "life"} in rows(cli("show", "databases", "--format", "json"))
    assert rows(cli("show", "retention", "--database", "life", "--format", "json")) == [
        {"database_name": "life", "retention_period": "30d"}
    ]
    assert cli("update", "database", "-d", "life", "-r", "none").out == 'Database "life" updated successfully\n'
    assert "infinite" in cli("show", "retention", "--database", "life").out
    assert cli("delete", "database", "life", "--yes").out == 'Database "life" deleted successfully\n'
    assert (
        "404" in cli("delete", "database", "life", "--yes").err or "409" in cli("delete", "database", "life", "-y").err
    )
    shown = cli("show", "databases", "--show-deleted", "--format", "json")
    assert any(row["iox::database"].startswith("life-") for row in rows(shown))


def test_a_table_is_created_with_its_columns_and_deleted(cli):
    cli("create", "database", "tables")
    words = ["--tags", "room,id", "--fields", "temp:float64,n:int64,u:uint64,s:utf8,b:bool"]
    assert cli("create", "table", "-d", "tables", *words, "t").out == 'Table "tables"."t" created successfully\n'
    columns = rows(
        cli(
            *("query", "-d", "tables", "--format", "json"),
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't' ORDER BY column_name",
        )
    )
    assert [row["column_name"] for row in columns] == ["b", "id", "n", "room", "s", "temp", "time", "u"]
    assert "[409 Conflict]" in cli("create", "table", "-d", "tables", "--tags", "a", "t").err
    assert cli("delete", "table", "-d", "tables", "t", "--yes").out == 'Table "tables"."t" deleted successfully\n'
    assert cli("delete", "table", "-d", "tables", "never", "--yes").code == 1


def test_rows_go_in_and_come_out_in_every_format(cli, tmp_path):
    assert cli("write", "-d", "rows", "--precision", "s", 'm,t=a\\ b f=1.5,s="x\ny" 1').code == 0
    query = ["query", "-d", "rows", "SELECT t, f, s, time FROM m", "--format"]
    assert rows(cli(*query, "json")) == [{"t": "a b", "f": 1.5, "s": "x\ny", "time": "1970-01-01T00:00:01"}]
    assert json.loads(cli(*query, "jsonl").out) == {"t": "a b", "f": 1.5, "s": "x\ny", "time": "1970-01-01T00:00:01"}
    assert cli(*query, "csv").out == 't,f,s,time\na b,1.5,"x\ny",1970-01-01T00:00:01\n'
    assert cli(*query, "pretty").out.startswith("+-")
    assert cli(*query, "parquet", "--output", str(tmp_path / "m.parquet")).code == 0
    assert (tmp_path / "m.parquet").read_bytes()[:4] == b"PAR1"
    bound = cli("query", "-d", "rows", "--param", "t=a b", "--format", "csv", "SELECT f FROM m WHERE t = $t")
    assert bound.out == "f\n1.5\n"


def test_refused_lines_are_named_and_the_others_stored(cli):
    outcome = cli("write", "-d", "partial", "m f=1 1\nm f=wrong 2\nm f=3 3")
    assert outcome.code == 1
    assert "[400 Bad Request]" in outcome.err
    assert re.search(r"\n  line 2: .*: m f=wrong 2\n", outcome.err)
    assert rows(cli("query", "-d", "partial", "--format", "json", "SELECT count(*) AS n FROM m")) == [{"n": 2}]
    assert cli("write", "-d", "partial", "--no-accept-partial", "m f=4 4\nm f=wrong 5").code == 1
    assert rows(cli("query", "-d", "partial", "--format", "json", "SELECT count(*) AS n FROM m")) == [{"n": 2}]


def test_a_large_file_arrives_whole(cli, tmp_path):
    path = tmp_path / "big.lp"
    path.write_text("".join(f'big,t={n % 7} text="line\n{n}",n={n}i {n}\n' for n in range(20_000)))
    for flags in (["--gzip"], ["--max-concurrent-requests", "4"]):
        outcome = cli("write", "-d", "big", "-p", "ns", "--max-request-size", "100000", *flags, "--file", str(path))
        assert outcome.code == 0, outcome.err
        assert "20000" not in outcome.err  # lines as the file has them: 40,000 with those inside quotes
        sums = rows(cli("query", "-d", "big", "--format", "json", "SELECT count(*) AS c, sum(n) AS s FROM big"))
        assert sums == [{"c": 20_000, "s": 199_990_000}]


def test_errors_name_the_nearest_column_and_table(cli):
    cli("write", "-d", "near", "home temp=1 1")
    assert "temp" in cli("query", "-d", "near", "SELECT tmep FROM home").err
    assert "home" in cli("query", "-d", "near", "SELECT * FROM hmoe").err
    outcome = cli("query", "-d", "nera", "SELECT 1")
    assert outcome.code == 1
    assert "[404 Not Found]" in outcome.err


def test_tokens_come_and_go(cli, run, monkeypatch):
    made = json.loads(cli("create", "token", "--admin", "--name", "ci", "--expiry", "1h", "--format", "json").out)
    assert any(row["name"] == "ci" for row in rows(cli("show", "tokens", "--format", "json")))
    assert "[409 Conflict]" in cli("create", "token", "--admin", "--name", "ci").err
    monkeypatch.setenv("INFLUXDB3_AUTH_TOKEN", made["token"])
    assert run("show", "databases").code == 0
    assert cli("delete", "token", "--token-name", "ci", "--yes").out == 'Token "ci" deleted successfully\n'
    monkeypatch.setenv("INFLUXDB3_AUTH_TOKEN", made["token"])
    refused = run("show", "databases")
    assert refused.code == 1
    assert "[401 Unauthorized]" in refused.err


def test_a_trigger_lives_through_its_states(cli, shared):
    cli("create", "database", "engine")
    words = ["--path", "seen.py", "--trigger-spec", "all_tables", "--trigger-arguments", "a=1,b=2"]
    created = cli("create", "trigger", "-d", "engine", *words, "--memory-limit", "512MB", "--time-limit", "30s", "t1")
    assert created.out == "Trigger t1 created successfully\n"
    assert "[409 Conflict]" in cli("create", "trigger", "-d", "engine", *words, "t1").err
    (shown,) = rows(cli("show", "triggers", "-d", "engine", "--format", "json"))
    assert shown["trigger_name"] == "t1"
    assert "all_tables" in shown["trigger_specification"]
    assert "seen.py" in cli("show", "plugins").out
    assert cli("disable", "trigger", "-d", "engine", "t1").out == "Trigger t1 disabled successfully\n"
    for start in ("cursor", "now"):
        assert (
            cli("enable", "trigger", "-d", "engine", "--from", start, "t1").out == "Trigger t1 enabled successfully\n"
        )
    refused = cli("delete", "trigger", "-d", "engine", "t1")
    assert refused.code == 1
    assert refused.err.startswith("Delete command failed: server responded with error")
    assert cli("delete", "trigger", "-d", "engine", "--force", "t1").out == "Trigger t1 deleted successfully\n"
    assert "[404 Not Found]" in cli("enable", "trigger", "-d", "engine", "t1").err


def test_plugins_are_uploaded_updated_and_called(cli, shared, tmp_path):
    package = tmp_path / "greet"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from .words import GREETING\n\n\ndef process_request(*_):\n    return GREETING\n"
    )
    (package / "words.py").write_text("GREETING = 'hello'\n")
    words = ["--path", str(package), "--upload", "--trigger-spec", "request:greet"]
    assert cli("create", "trigger", "-d", "uploads", *words, "greet").code == 1  # there is no such database yet
    cli("create", "database", "uploads")
    assert cli("create", "trigger", "-d", "uploads", *words, "greet").out == "Trigger greet created successfully\n"
    assert shared.request("GET", "/api/v3/engine/greet").text == "hello"
    (package / "words.py").write_text("GREETING = 'good evening'\n")
    updated = cli("update", "trigger", "-d", "uploads", "-t", "greet", "-p", str(package))
    assert updated.out == "Trigger 'greet' updated successfully (atomic directory replacement)\n"
    assert shared.request("GET", "/api/v3/engine/greet").text == "good evening"


def test_plugins_are_tested_without_a_trace(cli):
    cli("create", "database", "tests")
    answer = rows(cli("test", "wal_plugin", "-d", "tests", "--lp", "m f=1", "--input-arguments", "a=x\\,y", "seen.py"))
    assert answer["log_lines"] == ["INFO: {'a': 'x,y'}"]
    assert answer["database_writes"] == {"tests": ["seen,table=m rows=1i"]}
    assert answer["errors"] == []
    cli("write", "-d", "tests", "m f=1\nm f=2 1")
    answer = rows(cli("test", "wal_plugin", "-d", "tests", "--last", "1h", "seen.py"))
    assert answer["database_writes"] == {"tests": ["seen,table=m rows=1i"]}
    answer = rows(
        cli(
            *("test", "request_plugin", "-d", "tests", "--body", "text", "--query-params", "q=1"),
            *("--headers", "x-a=b", "seen.py"),
        )
    )
    assert answer["errors"] == []
    assert answer["response"]["status"] == 201
    missing = cli("test", "schedule_plugin", "-d", "tests", "seen.py")
    assert "process_scheduled_call" in missing.out + missing.err


def test_system_tables_are_shown(cli):
    cli("write", "-d", "systems", "m f=1 1")
    assert "processing_engine_logs" in cli("show", "system", "-d", "systems", "table-list").out
    assert cli("show", "system", "-d", "systems", "table", "queries", "--limit", "2").code == 0
    assert "queries summary:" in cli("show", "system", "-d", "systems", "summary", "--limit", "1").out
    outcome = cli("show", "system", "-d", "systems", "table", "querys")
    assert outcome.code == 1
    assert "did you mean 'queries'?" in outcome.err


def test_without_a_token_the_server_refuses(run, shared, monkeypatch):
    monkeypatch.setenv("INFLUXDB3_HOST_URL", shared.url)
    outcome = run("show", "databases")
    assert outcome.code == 1
    assert "[401 Unauthorized]" in outcome.err


def test_check_finds_nothing_in_a_sound_directory_and_damage_in_another(run, tmp_path):
    with ServerProcess(tmp_path) as server:
        for number in range(20):
            server.write("home", f"m,t=a f={number} {number}")
        server.kill9()
    sound = run("check", str(server.data_dir))
    assert sound.code == 0, sound.out
    assert "20 rows" in sound.out
    assert sound.out.endswith("\nno findings\n")
    (segment, *_) = sorted(server.data_dir.rglob("*.wal"))
    damaged = bytearray(segment.read_bytes())
    damaged[200] ^= 0xFF
    segment.write_bytes(damaged)
    broken = run("check", str(server.data_dir))
    assert broken.code == 1
    assert segment.name in broken.out
    assert broken.out.endswith("\n1 finding\n")


def test_check_reads_parquet_files_to_the_last_row_if_asked_to(run, tmp_path):
    with ServerProcess(tmp_path) as server:
        server.write("home", "m,t=a f=1 1\nm,t=a f=2 2")
        server.stop()
    outcome = run("check", "--deep", str(server.data_dir))
    assert outcome.code == 0, outcome.out
    assert "1 tables, 1 files, 2 rows" in outcome.out


def test_check_does_not_call_any_directory_sound(run, tmp_path):
    assert "is not a directory" in run("check", str(tmp_path / "none")).err
    outcome = run("check", str(tmp_path))
    assert outcome.code == 1
    assert "it is no data directory" in outcome.err


def test_serve_stops_in_order_on_ctrl_c(tmp_path):
    with ServerProcess(tmp_path) as server:
        server.process.send_signal(2)
        assert server.process.wait(60) == 0


def test_serve_names_a_port_that_is_taken(shared, tmp_path):
    address = shared.url.removeprefix("http://")
    command = [
        sys.executable,
        "-m",
        "headrace.api.cli.main",
        "serve",
        "--data-dir",
        str(tmp_path),
        "--http-bind",
        address,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert address in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
