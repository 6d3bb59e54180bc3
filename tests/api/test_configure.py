"""Databases, tables and tokens over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness import ServerProcess, wait_until

DATABASE = "/api/v3/configure/database"
TABLE = "/api/v3/configure/table"
TOKEN = "/api/v3/configure/token"


def names(server: ServerProcess, **params: str) -> list[str]:
    answer: list[dict[str, str]] = server.request("GET", DATABASE, params={"format": "json", **params}).json()
    return [row["iox::database"] for row in answer]


def test_a_database_is_created_once_listed_and_deleted(server: ServerProcess, database: str) -> None:
    assert server.request("POST", DATABASE, json={"db": database}).status_code == 200
    again = server.request("POST", DATABASE, json={"db": database})
    assert again.status_code == 409
    assert "attempted to create a resource that already exists" in again.text
    assert database in names(server)
    assert server.request("DELETE", DATABASE, params={"db": database}).status_code == 200
    assert database not in names(server)
    deleted = [name for name in names(server, show_deleted="true") if name.startswith(f"{database}-")]
    assert re.fullmatch(rf"{database}-\d{{8}}T\d{{6}}", deleted[0])
    assert server.request("POST", DATABASE, json={"db": database}).status_code == 200


def test_databases_are_listed_in_every_format(server: ServerProcess, database: str) -> None:
    server.request("POST", DATABASE, json={"db": database})
    get = {
        name: server.request("GET", DATABASE, params={"format": name}) for name in ("json", "csv", "pretty", "jsonl")
    }
    assert {"iox::database": database} in get["json"].json()
    assert get["csv"].text.splitlines()[0] == "iox::database"
    assert f"| {database}" in get["pretty"].text
    assert get["jsonl"].text.splitlines()[0] == '{"iox::database":"_internal"}'
    assert [answer.headers["content-type"].partition(";")[0] for answer in get.values()] == [
        "application/json",
        "text/csv",
        "text/plain",
        "application/jsonl",
    ]
    shown = server.request("GET", DATABASE, params={"show_deleted": "true"}).json()
    assert {"iox::database": database, "deleted": False} in shown
    assert server.request("GET", DATABASE, params={"format": "xml"}).status_code == 400


def test_a_retention_period_is_set_changed_and_cleared(server: ServerProcess, database: str) -> None:
    assert server.request("POST", DATABASE, json={"db": database, "retention_period": "30d"}).status_code == 200
    assert server.request("PUT", DATABASE, json={"db": database, "retention_period": "1h"}).status_code == 200
    assert server.request("PUT", DATABASE, json={"db": database, "retention_period": None}).status_code == 200
    retention = f"{DATABASE}/retention_period"
    assert server.request("POST", retention, params={"db": database, "duration": "2h"}).status_code == 204
    assert server.request("DELETE", retention, params={"db": database}).status_code == 204
    wrong = server.request("PUT", DATABASE, json={"db": database, "retention_period": "long"})
    assert wrong.status_code == 400
    assert "is not a duration" in wrong.text


def test_rows_beyond_the_retention_period_are_not_seen(server: ServerProcess, database: str) -> None:
    server.request("POST", DATABASE, json={"db": database, "retention_period": "1h"})
    server.write(database, "cpu n=1i 1000\ncpu n=2i")
    assert server.query(database, "SELECT n FROM cpu") == [{"n": 2}]


def test_a_database_that_is_not_there_cannot_be_deleted(server: ServerProcess) -> None:
    assert server.request("DELETE", DATABASE, params={"db": "nowhere"}).status_code == 404
    missing = server.request("DELETE", DATABASE)
    assert (missing.status_code, missing.text) == (400, "serde error: missing field `db`")
    bad_time = server.request("DELETE", DATABASE, params={"db": "nowhere", "hard_delete_at": "later"})
    assert bad_time.status_code == 400


def test_the_internal_database_stays(server: ServerProcess) -> None:
    assert server.request("DELETE", DATABASE, params={"db": "_internal"}).status_code == 400


def test_a_table_is_created_with_its_columns_and_deleted(server: ServerProcess, database: str) -> None:
    fields = [{"name": f"f_{kind}", "type": kind} for kind in ("utf8", "int64", "uint64", "float64", "bool")]
    body = {"db": database, "table": "bar", "tags": ["t1", "t2"], "fields": fields}
    assert server.request("POST", TABLE, json=body).status_code == 200
    assert server.request("POST", TABLE, json=body).status_code == 409
    assert server.query(database, "SELECT * FROM bar") == []
    server.write(database, 'bar,t1=1,t2=2 f_utf8="x",f_int64=1i,f_uint64=2u,f_float64=3,f_bool=true 1000')
    assert server.query(database, "SELECT t1, f_uint64 FROM bar") == [{"t1": "1", "f_uint64": 2}]
    assert server.request("DELETE", TABLE, params={"db": database, "table": "bar"}).status_code == 200
    assert server.request("DELETE", TABLE, params={"db": database, "table": "bar"}).status_code == 404


def test_a_table_with_an_unknown_field_type_is_refused(server: ServerProcess, database: str) -> None:
    body = {"db": database, "table": "t", "tags": ["a"], "fields": [{"name": "x", "type": "foobar"}]}
    answer = server.request("POST", TABLE, json=body)
    assert answer.status_code == 400
    assert "fields.0.type" in answer.text


@pytest.mark.parametrize(
    ("content", "content_type", "status", "text"),
    [
        (b'{"db": "x"}', "text/plain", 415, "unacceptable content-type, expected: application/json"),
        (b'{"db": "x"}', None, 415, "unacceptable content-type, expected: application/json"),
        (b"{", "application/json", 400, "serde json error"),
        (b"[]", "application/json", 400, "serde json error"),
        (b"", "application/json", 400, "serde json error"),
        (b"{}", "application/json", 400, "serde json error: missing field `db`"),
        (b'{"db": 7}', "application/json", 400, "serde json error"),
        (b'{"db": "\xff"}', "application/json", 400, "serde json error"),
    ],
)
def test_a_body_that_is_not_the_json_expected_is_refused(
    server: ServerProcess, content: bytes, content_type: str | None, status: int, text: str
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = server.request("POST", DATABASE, content=content, headers=headers)
    assert answer.status_code == status
    assert text in answer.text


# Tokens


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("guarded"), auth=True) as process:
        yield process


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_tokens_are_made_shown_once_regenerated_and_deleted(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, auth=True) as server:
        anonymous = httpx.Client(base_url=server.url)
        first = anonymous.post(f"{TOKEN}/admin")
        assert first.status_code == 201
        made: dict[str, Any] = first.json()
        assert made["name"] == "_admin"
        assert made["token"].startswith("apiv3_")
        assert len(made["hash"]) == 128
        assert made["expiry"] is None
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", made["created_at"])
        again = anonymous.post(f"{TOKEN}/admin")
        assert (again.status_code, again.text) == (409, "token name already exists, _admin")
        assert anonymous.post(f"{TOKEN}/admin/regenerate").status_code == 401

        renewed = anonymous.post(f"{TOKEN}/admin/regenerate", headers=bearer(made["token"]))
        assert renewed.status_code == 201
        old, new = made["token"], renewed.json()["token"]
        assert anonymous.get(DATABASE, headers=bearer(old)).status_code == 401
        assert anonymous.get(DATABASE, headers=bearer(new)).status_code == 200

        body = {"token_name": "ci", "expiry_secs": 3600}
        named = anonymous.post(f"{TOKEN}/named_admin", json=body, headers=bearer(new))
        assert named.status_code == 201
        assert named.json()["expiry"] is not None
        assert anonymous.get(DATABASE, headers=bearer(named.json()["token"])).status_code == 200
        assert anonymous.post(f"{TOKEN}/named_admin", json=body, headers=bearer(new)).status_code == 409

        assert anonymous.delete(TOKEN, params={"token_name": "ci"}, headers=bearer(new)).status_code == 200
        assert anonymous.get(DATABASE, headers=bearer(named.json()["token"])).status_code == 401
        assert anonymous.delete(TOKEN, params={"token_name": "ci"}, headers=bearer(new)).status_code == 404
        kept = anonymous.delete(TOKEN, params={"token_name": "_admin"}, headers=bearer(new))
        assert (kept.status_code, kept.text) == (405, "cannot delete operator token")

        server.restart()
        assert httpx.get(server.url + DATABASE, headers=bearer(new)).status_code == 200
        everything = b"".join(path.read_bytes() for path in server.data_dir.rglob("*") if path.is_file())
        assert made["token"].encode() not in everything
        assert new.encode() not in everything


def test_a_lost_token_is_regenerated_once_through_the_recovery_address(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--admin-token-recovery-http-bind", "127.0.0.1:0", auth=True) as server:
        lost = httpx.post(server.url + f"{TOKEN}/admin").json()["token"]
        address = server.wait_for_log(r"regenerate the operator token on (http://\S+),")[1]
        assert httpx.get(f"{address}/health").status_code == 404
        assert httpx.post(f"{address}{TOKEN}/admin").status_code == 404
        found = httpx.post(f"{address}{TOKEN}/admin/regenerate")
        assert found.status_code == 201
        assert server.request("GET", DATABASE, headers=bearer(lost)).status_code == 401
        assert server.request("GET", DATABASE, headers=bearer(found.json()["token"])).status_code == 200
        wait_until(lambda: not listens(address), what="the end of the recovery address")
        assert server.request("GET", DATABASE).status_code == 200


def listens(address: str) -> bool:
    try:
        httpx.get(address)
    except httpx.ConnectError:
        return False
    return True


def test_every_endpoint_asks_for_a_token(guarded: ServerProcess) -> None:
    anonymous = httpx.Client(base_url=guarded.url)
    paths: dict[str, dict[str, Any]] = guarded.request("GET", "/openapi.json").json()["paths"]
    assert len(paths) > 20
    for path, methods in paths.items():
        for method in methods:
            if path == f"{TOKEN}/admin":
                continue
            answer = anonymous.request(method, path)
            assert (answer.status_code, answer.text) == (401, '{"error":"the request was not authenticated"}'), path
    assert anonymous.get("/nowhere").status_code == 401
    assert anonymous.options("/api/v3/write_lp").status_code == 204


def test_a_malformed_header_is_told_apart_from_a_missing_one(guarded: ServerProcess) -> None:
    answer = httpx.get(guarded.url + "/health", headers={"Authorization": "bearer x"})
    assert answer.status_code == 400
    assert "supported auth-schemes are Bearer, Token and Basic" in answer.json()["error"]


def test_all_ways_to_send_a_token_work(guarded: ServerProcess) -> None:
    token = guarded.token or ""
    write = {"params": {"db": "home"}, "content": "cpu usage=1"}
    assert httpx.post(guarded.url + "/write", auth=("me", token), **write).status_code == 204
    assert httpx.post(guarded.url + "/write", headers={"Authorization": f"Token {token}"}, **write).status_code == 204
    params = {"db": "home", "u": "me", "p": token}
    assert httpx.post(guarded.url + "/write", params=params, content="cpu usage=1").status_code == 204


@pytest.mark.parametrize("resources", ["health", "ping,metrics", "health,ping,metrics,ready"])
def test_chosen_resources_need_no_token(tmp_path: Path, resources: str) -> None:
    paths = {"health": "/health", "ping": "/ping", "metrics": "/metrics", "ready": "/ready"}
    with ServerProcess(tmp_path, "--disable-authz", resources, auth=True) as server:
        for resource, path in paths.items():
            expected = 200 if resource in resources.split(",") else 401
            assert httpx.get(server.url + path).status_code == expected
        assert httpx.get(server.url + "/api/v1/health").status_code == (200 if "health" in resources else 401)


def test_without_auth_no_tokens_are_made(server: ServerProcess) -> None:
    answer = server.request("POST", f"{TOKEN}/admin")
    assert (answer.status_code, answer.text) == (405, "endpoint disabled, started without auth")
