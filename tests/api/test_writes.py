"""Writes over HTTP, through all three endpoints, against a real server."""

from __future__ import annotations

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.harness import ServerProcess, wait_until

V3 = "/api/v3/write_lp"
V2 = "/api/v2/write"
V1 = "/write"


def rows(server: ServerProcess, database: str, sql: str = "SELECT * FROM cpu ORDER BY time") -> list[dict[str, object]]:
    return server.query(database, sql)


def test_a_write_is_answered_with_204_and_visible_at_once(server: ServerProcess, database: str) -> None:
    response = server.request("POST", V3, params={"db": database}, content="cpu,host=a usage=0.5,n=3i 1000")
    assert (response.status_code, response.content) == (204, b"")
    assert rows(server, database) == [{"host": "a", "usage": 0.5, "n": 3, "time": "1970-01-01T00:16:40"}]


@pytest.mark.parametrize(("path", "parameter"), [(V3, "db"), (V2, "bucket"), (V1, "db")])
def test_every_endpoint_stores_lines_with_its_precision(
    server: ServerProcess, database: str, path: str, parameter: str
) -> None:
    params = {parameter: database, "precision": "ms"}
    assert server.request("POST", path, params=params, content=b"cpu usage=1 1500").status_code == 204
    assert rows(server, database)[0]["time"] == "1970-01-01T00:00:01.500"


def test_lines_without_a_timestamp_get_the_time_of_their_arrival(server: ServerProcess, database: str) -> None:
    server.write(database, "cpu usage=1")
    found = rows(server, database, "SELECT count(*) AS n FROM cpu WHERE time > now() - INTERVAL '1 minute'")
    assert found == [{"n": 1}]


def test_gzipped_lines_are_stored(server: ServerProcess, database: str) -> None:
    lines = b"\n".join(b"cpu,host=h%d usage=%d %d" % (n % 10, n, n + 1_700_000_000) for n in range(2000))
    packed = gzip.compress(lines[:20_000]) + gzip.compress(lines[20_000:])
    response = server.request("POST", V3, params={"db": database}, content=packed, headers={"content-encoding": "gzip"})
    assert response.status_code == 204
    assert rows(server, database, "SELECT count(*) AS n FROM cpu") == [{"n": 2000}]


def test_a_chunked_body_is_stored(server: ServerProcess, database: str) -> None:
    pieces = (b"cpu usage=%d %d\n" % (n, n + 1_700_000_000) for n in range(500))
    assert server.request("POST", V3, params={"db": database}, content=pieces).status_code == 204
    assert rows(server, database, "SELECT count(*) AS n FROM cpu") == [{"n": 500}]


def test_good_lines_of_a_partial_write_are_stored_and_bad_ones_named(server: ServerProcess, database: str) -> None:
    lines = "cpu usage=1 1000\ncpu usage=oops 1001\ncpu usage=3 1002"
    response = server.request("POST", V3, params={"db": database}, content=lines)
    assert response.status_code == 400
    body = response.json()
    assert body["error"] == "partial write of line protocol occurred"
    assert [(each["line_number"], each["original_line"]) for each in body["data"]] == [(2, "cpu usage=oops 1001")]
    assert [row["usage"] for row in rows(server, database)] == [1, 3]


def test_one_bad_line_refuses_the_write_where_partial_ones_are_not_accepted(
    server: ServerProcess, database: str
) -> None:
    lines = "cpu usage=1 1000\ncpu usage=oops 1001"
    params = {"db": database, "accept_partial": "false"}
    response = server.request("POST", V3, params=params, content=lines)
    assert response.status_code == 400
    assert response.json()["error"] == "parsing failed for write_lp endpoint"
    assert response.json()["data"]["line_number"] == 2
    response = server.request("POST", V2, params={"bucket": database}, content=lines)
    assert response.status_code == 400
    assert response.json()["code"] == "invalid"
    assert "line 2" in response.json()["message"]
    response = server.request("POST", V1, params={"db": database}, content=lines)
    assert (response.status_code, response.json()["data"]["line_number"]) == (400, 2)
    assert database not in server.request("GET", "/api/v3/configure/database").text


def test_a_field_of_another_type_is_a_bad_line(server: ServerProcess, database: str) -> None:
    server.write(database, "cpu usage=1i")
    response = server.request("POST", V3, params={"db": database}, content='cpu usage="high"')
    assert response.status_code == 400
    assert "usage" in response.json()["data"][0]["error_message"]


def test_a_write_without_lines_is_refused(server: ServerProcess, database: str) -> None:
    for body in ("", "\n\n", "# only a comment\n"):
        response = server.request("POST", V3, params={"db": database}, content=body)
        assert (response.status_code, response.text) == (400, "incoming write was empty")
    response = server.request("POST", V2, params={"bucket": database}, content="")
    assert response.json() == {"code": "invalid", "message": "write buffer error: incoming write was empty"}


@pytest.mark.parametrize(
    ("path", "params", "text"),
    [
        (V3, {}, "missing query parameter 'db'"),
        (V1, {}, '{"error":"missing query parameter \'db\'"}'),
        (V2, {}, '{"code":"invalid","message":"missing bucket value"}'),
        (V3, {"db": "x", "precision": "year"}, "unrecognized precision unit: year"),
    ],
)
def test_parameters_that_are_missing_or_wrong_are_named(
    server: ServerProcess, path: str, params: dict[str, str], text: str
) -> None:
    response = server.request("POST", path, params=params, content="cpu usage=1")
    assert response.status_code == 400
    assert text in response.text


@pytest.mark.parametrize("name", ["", "a b", "_internal", "-x", "x" * 600, "a/b/c", "ü"])
def test_a_database_name_that_breaks_the_rules_is_refused(server: ServerProcess, name: str) -> None:
    response = server.request("POST", V3, params={"db": name}, content="cpu usage=1")
    assert response.status_code == 400


def test_no_sync_is_answered_and_stored(server: ServerProcess, database: str) -> None:
    server.write(database, "cpu usage=1 1000", no_sync="true")
    assert wait_until(lambda: rows(server, database)) == [{"time": "1970-01-01T00:16:40", "usage": 1}]


def test_many_clients_at_once_lose_nothing(server: ServerProcess, database: str) -> None:
    start = threading.Barrier(8)

    def write(client: int) -> None:
        start.wait()
        for n in range(25):
            stamp = 1_700_000_000 + client * 1000 + n
            server.write(database, f"cpu,client=c{client} n={n}i {stamp}\nt{client} n={n}i {stamp}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert rows(server, database, "SELECT count(*) AS n FROM cpu") == [{"n": 200}]
    assert rows(server, database, "SELECT count(*) AS n FROM t3") == [{"n": 25}]


def test_acknowledged_lines_survive_kill_9(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        for n in range(20):
            server.write("home", f"cpu n={n}i {1_700_000_000 + n}")
        server.kill9()
        server.start()
        assert server.query("home", "SELECT count(*) AS n FROM cpu") == [{"n": 20}]


def test_a_body_beyond_the_limit_is_answered_with_413(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--max-http-request-size", "64kb") as server:
        response = server.request("POST", V3, params={"db": "home"}, content=b"cpu usage=1\n" * 10_000)
        assert (response.status_code, response.text) == (413, "max request size (65536 bytes) exceeded")
        response = server.request("POST", V2, params={"bucket": "home"}, content=b"cpu usage=1\n" * 10_000)
        assert response.status_code == 413
        assert response.json()["code"] == "request too large"
        packed = gzip.compress(b"cpu usage=1\n" * 10_000)
        headers = {"content-encoding": "gzip"}
        response = server.request("POST", V3, params={"db": "home"}, content=packed, headers=headers)
        assert response.status_code == 413


def test_a_limit_of_the_catalog_is_answered_with_422(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--num-database-limit", "1", "--num-total-columns-per-table-limit", "3") as server:
        server.write("one", "cpu a=1,b=2,c=3")
        response = server.request("POST", V3, params={"db": "one"}, content="cpu d=4")
        assert response.status_code == 422
        assert "limit of 3 columns" in response.text
        response = server.request("POST", V3, params={"db": "two"}, content="cpu a=1")
        assert response.status_code == 422
        assert "Adding a new database would exceed limit of 1 databases" in response.json()["error"]


def test_one_connection_takes_many_writes(server: ServerProcess, database: str) -> None:
    with httpx.Client(base_url=server.url, limits=httpx.Limits(max_connections=1)) as client:
        for n in range(50):
            line = f"cpu n={n}i {1_700_000_000 + n}"
            assert client.post(V3, params={"db": database}, content=line).status_code == 204
    assert rows(server, database, "SELECT count(*) AS n FROM cpu") == [{"n": 50}]
