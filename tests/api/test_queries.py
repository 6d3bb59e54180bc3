"""SQL over HTTP."""

from __future__ import annotations

import io
import json

import httpx
import pyarrow.parquet as pq
import pytest

from tests.harness import ServerProcess

SQL = "/api/v3/query_sql"


@pytest.fixture(scope="module")
def filled(server: ServerProcess) -> str:
    name = "queried"
    server.write(
        name,
        "home,room=Kitchen temp=21.5,hum=40i 1000\nhome,room=Bath temp=24 2000\nhome,room=Kitchen temp=22.5 3000",
    )
    return name


def test_a_query_comes_by_get_or_by_post(server: ServerProcess, filled: str) -> None:
    expected = [{"room": "Bath", "temp": 24.0}]
    query = {"db": filled, "q": "SELECT room, temp FROM home WHERE temp > 23"}
    assert server.request("GET", SQL, params=query).json() == expected
    assert server.request("POST", SQL, json=query).json() == expected


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (SQL, {"db": "queried", "q": "SELECT '\ud800'"}),
        (SQL, {"db": "queried", "q": "SELECT $a", "params": {"a": "\udfff"}}),
        ("/api/v3/configure/database", {"db": "a\ud800"}),
        ("/api/v3/plugins/files?db=queried", {"plugin_name": "half.py", "content": "x = '\ud800'"}),
    ],
)
def test_half_a_character_is_refused(server: ServerProcess, filled: str, path: str, body: dict[str, object]) -> None:
    answer = server.request("POST", path, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "lone surrogate" in answer.text


def test_parameters_are_bound(server: ServerProcess, filled: str) -> None:
    query = {"db": filled, "q": "SELECT temp FROM home WHERE room = $room AND temp > $least"}
    params = {"room": "Kitchen", "least": 22}
    assert server.request("POST", SQL, json={**query, "params": params}).json() == [{"temp": 22.5}]
    assert server.request("GET", SQL, params={**query, "params": json.dumps(params)}).json() == [{"temp": 22.5}]


@pytest.mark.parametrize("params", ["{", "[1]", "7"])
def test_parameters_that_are_no_object_are_refused(server: ServerProcess, filled: str, params: str) -> None:
    answer = server.request("GET", SQL, params={"db": filled, "q": "SELECT 1", "params": params})
    assert answer.status_code == 400
    assert "'params'" in answer.text


@pytest.mark.parametrize(
    ("name", "content_type", "body"),
    [
        ("json", "application/json", '[{"room":"Bath","temp":24.0}]'),
        ("jsonl", "application/jsonl", '{"room":"Bath","temp":24.0}\n'),
        ("csv", "text/csv", "room,temp\nBath,24.0\n"),
        ("pretty", "text/plain; charset=utf-8", "| Bath | 24.0 |"),
    ],
)
def test_every_format(server: ServerProcess, filled: str, name: str, content_type: str, body: str) -> None:
    query = {"db": filled, "q": "SELECT room, temp FROM home WHERE room = 'Bath'"}
    answer = server.request("GET", SQL, params={**query, "format": name})
    assert answer.headers["content-type"] == content_type
    assert body in answer.text
    if name != "pretty":
        accepted = server.request("GET", SQL, params=query, headers={"Accept": content_type})
        assert accepted.text == (answer.text if name != "jsonl" else accepted.text)


def test_parquet_reads_back(server: ServerProcess, filled: str) -> None:
    answer = server.request(
        "POST", SQL, json={"db": filled, "q": "SELECT temp FROM home ORDER BY temp", "format": "parquet"}
    )
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert pq.read_table(io.BytesIO(answer.content)).to_pydict() == {"temp": [21.5, 22.5, 24.0]}


def test_an_unknown_format_is_refused(server: ServerProcess, filled: str) -> None:
    query = {"db": filled, "q": "SELECT 1"}
    answer = server.request("GET", SQL, params={**query, "format": "xml"})
    assert answer.status_code == 400
    assert "json" in answer.text
    answer = server.request("GET", SQL, params=query, headers={"Accept": "image/png"})
    assert answer.status_code == 400


def test_a_query_without_a_database_or_a_statement_is_refused(server: ServerProcess, filled: str) -> None:
    answer = server.request("GET", SQL, params={"q": "SELECT 1"})
    assert (answer.status_code, answer.text) == (400, "serde error: missing field `db`")
    answer = server.request("POST", SQL, json={"db": filled})
    assert (answer.status_code, answer.text) == (400, "serde json error: missing field `q`")


def test_errors_name_what_is_wrong(server: ServerProcess, filled: str) -> None:
    def answer(db: str, q: str) -> httpx.Response:
        return server.request("POST", SQL, json={"db": db, "q": q})

    assert answer("nowhere", "SELECT 1").status_code == 404
    assert "nowhere" in answer("nowhere", "SELECT 1").text
    missing = answer(filled, "SELECT tmp FROM home")
    assert missing.status_code == 400
    assert "temp" in missing.text
    assert answer(filled, "SELEC 1").status_code == 400
    for forbidden in ("DROP TABLE home", "CREATE TABLE x AS SELECT 1", "COPY home TO '/tmp/x'", "SET a = 1"):
        assert answer(filled, forbidden).status_code in (400, 403, 405), forbidden


def test_a_large_answer_streams_in_constant_memory(server: ServerProcess, database: str) -> None:
    lines = "\n".join(f"cpu,host=h{n % 50} usage={n}.5,n={n}i {1_700_000_000 + n}" for n in range(20_000))
    server.write(database, lines)
    sql = "SELECT a.time, a.host, a.usage, b.n FROM cpu a CROSS JOIN (SELECT n FROM cpu LIMIT 100) b"
    before = server.rss_bytes
    size, peak = 0, before
    with server.client.stream("GET", SQL, params={"db": database, "q": sql, "format": "csv"}) as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        for number, chunk in enumerate(answer.iter_raw()):
            size += len(chunk)
            if number % 50 == 0:
                peak = max(peak, server.rss_bytes)
    assert size > 60 << 20
    assert peak - before < 200 << 20


def test_a_query_that_fails_at_its_first_rows_is_refused(server: ServerProcess, database: str) -> None:
    server.write(database, "cpu n=5i 1000")
    answer = server.request("POST", SQL, json={"db": database, "q": "SELECT 1 / (n - 5) FROM cpu"})
    assert answer.status_code >= 400
    assert "zero" in answer.text.lower()


def test_a_query_that_fails_in_the_middle_breaks_the_answer_off(server: ServerProcess, database: str) -> None:
    lines = "\n".join(f"cpu n={n}i {1_700_000_000 + n}" for n in range(1_000))
    server.write(database, lines)
    # A thousand times a thousand rows, of which the last ones divide by zero.
    sql = "SELECT a.n, 1 / (999 - b.n) AS x FROM cpu b CROSS JOIN cpu a"

    def looks_whole() -> bool:
        try:
            answer = server.request("GET", SQL, params={"db": database, "q": sql, "format": "csv"})
        except httpx.RemoteProtocolError:
            return False
        return answer.status_code == 200

    assert not looks_whole()


def test_influxql_is_refused_with_a_hint(server: ServerProcess, filled: str) -> None:
    for path in ("/query", "/api/v3/query_influxql"):
        answer = server.request("GET", path, params={"db": filled, "q": "SHOW MEASUREMENTS"})
        assert answer.status_code == 501
        assert "/api/v3/query_sql" in answer.json()["error"]
