"""Triggers, plugin files and test runs over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import ServerProcess, wait_until

TRIGGER = "/api/v3/configure/processing_engine_trigger"
FILES = "/api/v3/plugins/files"
TEST = "/api/v3/plugin_test"

REQUEST_PLUGIN = """
def process_request(influxdb3_local, query_parameters, request_headers, request_body, args=None):
    influxdb3_local.info("called")
    line = LineBuilder("calls").int64_field("n", 1)
    influxdb3_local.write(line)
    seen = {
        "query": query_parameters,
        "token": request_headers.get("authorization"),
        "type": request_headers.get("content-type"),
        "body": request_body.decode(),
        "args": args,
    }
    return seen, 201, {"X-Plugin": "yes"}
"""

WAL_PLUGIN = """
def process_writes(influxdb3_local, table_batches, args=None):
    for batch in table_batches:
        for row in batch["rows"]:
            influxdb3_local.info("row", row["n"])
            influxdb3_local.write(LineBuilder("copy").int64_field("n", row["n"]).time_ns(row["time"]))
"""

SCHEDULE_PLUGIN = """
def process_scheduled_call(influxdb3_local, call_time, args=None):
    influxdb3_local.info("at", call_time.isoformat())
"""


@pytest.fixture(scope="module", autouse=True)
def plugins(server: ServerProcess) -> None:
    texts = {"echo.py": REQUEST_PLUGIN, "copy.py": WAL_PLUGIN, "tick.py": SCHEDULE_PLUGIN}
    for name, text in texts.items():
        assert server.request("POST", FILES, json={"plugin_name": name, "content": text}).status_code == 200


@pytest.fixture
def existing(server: ServerProcess, database: str) -> str:
    server.request("POST", "/api/v3/configure/database", json={"db": database})
    return database


def create(server: ServerProcess, database: str, name: str, plugin: str, spec: str, **more: object) -> None:
    body = {
        "db": database,
        "trigger_name": name,
        "plugin_filename": plugin,
        "trigger_specification": spec,
        "trigger_settings": {"run_async": False, "error_behavior": "log"},
        "trigger_arguments": None,
        "disabled": False,
        **more,
    }
    answer = server.request("POST", TRIGGER, json=body)
    assert answer.status_code == 200, answer.text


def test_a_request_trigger_answers_and_its_writes_are_stored(server: ServerProcess, existing: str) -> None:
    create(server, existing, "echo", "echo.py", f"request:echo/{existing}", trigger_arguments={"k": "v"})
    path = f"/api/v3/engine/echo/{existing}"
    headers = {"Authorization": "Bearer secret", "Content-Type": "text/x"}
    answer = server.request("POST", path, params={"a": "1"}, content=b"hello", headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["x-plugin"] == "yes"
    expected = {"query": {"a": "1"}, "token": None, "type": "text/x", "body": "hello", "args": {"k": "v"}}
    assert answer.json() == expected
    assert server.request("GET", path).status_code == 201
    assert server.request("PUT", path).status_code == 404
    assert server.query(existing, "SELECT count(*) AS n FROM calls") == [{"n": 2}]


@pytest.mark.parametrize(
    ("answer", "status"),
    [("('', 204)", 204), ("('x', 700)", 500), ("('x', 100)", 500), ("('x', 200, {'a(b': 'c'})", 500)],
)
def test_a_plugin_cannot_break_the_connection_by_its_answer(
    server: ServerProcess, existing: str, answer: str, status: int
) -> None:
    text = f"def process_request(local, query, headers, body, args=None):\n    return {answer}\n"
    server.request("POST", FILES, json={"plugin_name": f"{existing}.py", "content": text})
    create(server, existing, existing, f"{existing}.py", f"request:{existing}")
    assert server.request("GET", f"/api/v3/engine/{existing}").status_code == status


def test_an_unknown_request_path_is_not_found(server: ServerProcess) -> None:
    answer = server.request("POST", "/api/v3/engine/no/such/path", content=b"x")
    assert answer.status_code == 404
    assert "not found" in answer.text


def test_a_wal_trigger_is_disabled_enabled_and_deleted(server: ServerProcess, existing: str) -> None:
    create(server, existing, "copy", "copy.py", "table:cpu")

    def copied() -> int:
        tables = server.query(existing, "SELECT table_name FROM information_schema.tables WHERE table_name = 'copy'")
        if not tables:
            return 0
        return int(server.query(existing, "SELECT count(*) AS n FROM copy")[0]["n"])

    server.write(existing, "cpu n=1i 1000")
    wait_until(lambda: copied() == 1, what="the first copy")
    name = {"db": existing, "trigger_name": "copy"}
    refused = server.request("DELETE", TRIGGER, params=name)
    assert refused.status_code >= 400
    assert "Disable it first or use --force." in refused.text

    assert server.request("POST", f"{TRIGGER}/disable", params=name).status_code == 200
    assert server.request("POST", f"{TRIGGER}/disable", params=name).status_code == 200
    server.write(existing, "cpu n=2i 2000")
    assert server.request("POST", f"{TRIGGER}/enable", params={**name, "from": "cursor"}).status_code == 200
    wait_until(lambda: copied() == 2, what="the copy of what was written meanwhile")

    assert server.request("DELETE", TRIGGER, json={**name, "force": True}).status_code == 200
    assert server.request("POST", f"{TRIGGER}/enable", params=name).status_code == 404


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({"trigger_specification": "sometimes"}, 400, "failed to parse trigger from sometimes"),
        ({"plugin_filename": "missing.py"}, 404, "missing.py"),
        ({"plugin_filename": "../../etc/passwd"}, 400, "Path traversal detected"),
        ({"plugin_filename": "/etc/passwd"}, 400, "Path traversal detected"),
        ({"db": "nowhere"}, 404, "nowhere"),
        ({"trigger_settings": {"error_behavior": "panic"}}, 400, "error_behavior"),
        ({"trigger_settings": {"time_limit": -1}}, 400, "time_limit"),
        ({"trigger_name": ""}, 400, ""),
    ],
)
def test_a_trigger_that_cannot_be_is_refused(
    server: ServerProcess, existing: str, changes: dict[str, object], status: int, text: str
) -> None:
    body = {
        "db": existing,
        "trigger_name": "t",
        "plugin_filename": "tick.py",
        "trigger_specification": "every:1h",
        **changes,
    }
    answer = server.request("POST", TRIGGER, json=body)
    assert answer.status_code == status, answer.text
    assert text in answer.text


def test_a_plugin_is_tested_with_rows_that_are_not_stored(server: ServerProcess, existing: str) -> None:
    body = {"filename": "copy.py", "database": existing, "input_lp": "cpu n=7i 1000"}
    answer = server.request("POST", f"{TEST}/wal", json=body)
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert result["errors"] == []
    assert any("row 7" in line for line in result["log_lines"])
    assert list(result["database_writes"].values()) == [["copy n=7i 1000"]]
    assert result["duration_ms"] > 0


def test_scheduled_and_request_plugins_are_tested(server: ServerProcess, existing: str) -> None:
    answer = server.request("POST", f"{TEST}/schedule", json={"filename": "tick.py", "database": existing})
    assert answer.status_code == 200, answer.text
    assert answer.json()["trigger_time"].endswith("Z")
    body = {"filename": "echo.py", "database": existing, "query_params": {"q": "1"}, "body": "hi"}
    answer = server.request("POST", f"{TEST}/request", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["response"]["status"] == 201
    assert '"body": "hi"' in answer.json()["response"]["body"] or '"body":"hi"' in answer.json()["response"]["body"]


def test_a_test_of_a_plugin_that_is_missing_is_refused(server: ServerProcess, existing: str) -> None:
    answer = server.request("POST", f"{TEST}/schedule", json={"filename": "no.py", "database": existing})
    assert answer.status_code == 404


def test_the_plugin_of_a_trigger_is_replaced(server: ServerProcess, existing: str) -> None:
    server.request("POST", FILES, json={"plugin_name": f"{existing}.py", "content": REQUEST_PLUGIN})
    create(server, existing, f"r{existing}", f"{existing}.py", f"request:{existing}")
    changed = REQUEST_PLUGIN.replace("201", "202")
    answer = server.request("PUT", FILES, json={"plugin_name": f"r{existing}", "content": changed})
    assert answer.status_code == 200, answer.text
    wait_until(lambda: server.request("GET", f"/api/v3/engine/{existing}").status_code == 202)


def test_uploads_cannot_leave_the_plugin_directory(server: ServerProcess) -> None:
    for name in ("../x.py", "/tmp/x.py", "a/../../x.py", "a\0b.py"):
        answer = server.request("POST", FILES, json={"plugin_name": name, "content": "x = 1"})
        assert answer.status_code == 400, name
        assert not (server.directory / "x.py").exists()


def test_without_a_plugin_directory_every_request_says_so(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.write("home", "cpu n=1i")
        trigger = {
            "db": "home",
            "trigger_name": "t",
            "plugin_filename": "x.py",
            "trigger_specification": "every:1h",
        }
        answers = [
            server.request("POST", TRIGGER, json=trigger),
            server.request("GET", "/api/v3/engine/x"),
            server.request("POST", FILES, json={"plugin_name": "x.py", "content": ""}),
            server.request("POST", f"{TEST}/schedule", json={"filename": "x.py", "database": "home"}),
            server.request(
                "POST", "/api/v3/configure/plugin_environment/install_packages", json={"packages": ["tablib"]}
            ),
        ]
        for answer in answers:
            assert answer.status_code == 400
            assert "--plugin-dir" in answer.text


def test_kinds_of_triggers_can_be_forbidden(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "tick.py").write_text(SCHEDULE_PLUGIN)
    options = (
        "--plugin-dir",
        str(plugins),
        "--restrict-plugin-triggers-to",
        "wal,request",
        "--package-manager",
        "disabled",
    )
    with ServerProcess(tmp_path / "server", *options) as server:
        server.write("home", "cpu n=1i")
        body = {
            "db": "home",
            "trigger_name": "t",
            "plugin_filename": "tick.py",
            "trigger_specification": "every:1h",
        }
        answer = server.request("POST", TRIGGER, json=body)
        assert (answer.status_code, answer.text) == (
            400,
            "invalid request: server is configured to reject Schedule plugin triggers",
        )
        packages = {"packages": ["tablib"]}
        answer = server.request("POST", "/api/v3/configure/plugin_environment/install_packages", json=packages)
        assert answer.status_code == 403
