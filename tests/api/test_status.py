"""Ping, health, readiness, metrics, and the description of the API."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.api.raw_http import RawConnection
from tests.harness import ServerProcess

OPENAPI = Path(__file__).parents[2] / "docs" / "openapi.json"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_ping_says_what_the_server_is(server: ServerProcess, method: str) -> None:
    answer = server.request(method, "/ping")
    assert answer.status_code == 200
    assert answer.headers["x-influxdb-build"] == "Core"
    version = answer.headers["x-influxdb-version"]
    assert re.fullmatch(r"3\.\d+\.\d+\+headrace\.\d+\.\d+\.\d+", version)
    assert answer.headers["request-id"] == answer.headers["x-request-id"] != ""
    body = answer.json()
    assert body["version"] == version
    assert set(body) == {"product_name", "version", "revision", "process_id"}


def test_the_official_client_takes_the_server_for_influxdb_3(server: ServerProcess, database: str) -> None:
    from influxdb_client_3 import InfluxDBClient3

    with InfluxDBClient3(host=server.url, database=database, token="any") as client:
        assert client.get_server_version().startswith("3.")
        client.write("home,room=Kitchen temp=22.1 1700000000000000000")
    assert server.query(database, "SELECT temp FROM home") == [{"temp": 22.1}]


@pytest.mark.parametrize("path", ["/health", "/api/v1/health", "/ready"])
def test_a_healthy_server_answers_ok(server: ServerProcess, path: str) -> None:
    answer = server.request("GET", path)
    assert (answer.status_code, answer.text) == (200, "OK")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_preflight_requests_of_browsers_are_allowed(server: ServerProcess) -> None:
    answer = server.request("OPTIONS", "/api/v3/query_sql", headers={"Origin": "https://example.org"})
    assert answer.status_code == 204
    for header in ("allow-origin", "allow-methods", "allow-headers"):
        assert answer.headers[f"access-control-{header}"] == "*"
    assert server.request("GET", "/health").headers["access-control-allow-origin"] == "*"


def test_what_is_not_there_is_not_found(server: ServerProcess) -> None:
    for method, path in (("GET", "/nowhere"), ("GET", "/api/v3/write_lp"), ("DELETE", "/api/v3/query_sql")):
        answer = server.request(method, path)
        assert (answer.status_code, answer.text) == (404, "Not found")


def test_metrics_count_requests_lines_and_queries(server: ServerProcess, database: str) -> None:
    before = metrics(server)
    server.write(database, "cpu n=1i 1\ncpu n=2i 2\ncpu n=3i 3")
    server.request("POST", "/api/v3/write_lp", params={"db": database}, content="cpu n=oops")
    server.query(database, "SELECT * FROM cpu")
    server.request("GET", "/nowhere")
    after = metrics(server)

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grown("headrace_write_lines_total") >= 3
    assert grown("headrace_write_lines_rejected_total") >= 1
    assert grown('headrace_queries_total{outcome="success"}') >= 1
    assert grown('http_requests_total{method="POST",path="/api/v3/write_lp",status="204"}') >= 1
    assert grown('http_requests_total{method="GET",path="other",status="404"}') >= 1
    assert grown("headrace_wal_sequence") >= 1
    assert after["headrace_buffer_bytes"] > 0


def test_no_client_can_make_metrics_grow(server: ServerProcess) -> None:
    server.request("GET", "/nowhere")
    with RawConnection(server.url) as client:
        client.request("BREW", "/nowhere")
        client.answer()
    before = len(metrics(server))
    for number in range(20):
        server.request("GET", f"/nowhere/{number}")
        server.request("GET", f"/api/v3/engine/{number}")
    assert len(metrics(server)) <= before + 20


def test_the_description_of_the_api_is_the_one_in_the_repository(server: ServerProcess) -> None:
    served = server.request("GET", "/openapi.json").json()
    assert served == json.loads(OPENAPI.read_text()), "save GET /openapi.json as docs/openapi.json"


def test_every_described_path_exists(server: ServerProcess) -> None:
    for path, methods in json.loads(OPENAPI.read_text())["paths"].items():
        for method in methods:
            answer = server.request(method, path.replace("{path}", "nothing"), content=b"")
            assert answer.text != "Not found", f"{method} {path}"
            assert answer.status_code < 500 or "/plugin" in path, f"{method} {path}: {answer.status_code}"


def metrics(server: ServerProcess) -> dict[str, float]:
    lines = server.request("GET", "/metrics").text.splitlines()
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}
