"""Clients that break rules, vanish, stall or ask for too much. The server answers others all the while."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.api.raw_http import RawConnection
from tests.harness import ServerProcess, wait_until

WRITE = "/api/v3/write_lp?db=hostile"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with short timeouts and small limits."""
    options = (
        *("--http-read-timeout", "500ms", "--http-keep-alive-timeout", "1s"),
        *("--max-http-request-size", "1mb", "--http-body-memory", "4mb"),
    )
    with ServerProcess(tmp_path_factory.mktemp("impatient"), *options) as process:
        yield process


def alive(server: ServerProcess) -> bool:
    return httpx.get(f"{server.url}/health", timeout=10).status_code == 200


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00" * 100,
        b"POST /write HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /write HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST " + WRITE.encode() + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_the_connection_closed(impatient: ServerProcess, garbage: bytes) -> None:
    with RawConnection(impatient.url) as client:
        client.send(garbage)
        assert client.closed()
    assert alive(impatient)


def test_a_head_that_is_too_large_is_answered_with_431(impatient: ServerProcess) -> None:
    with RawConnection(impatient.url) as client:
        client.send(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        for number in range(90):
            client.send(b"X-%d: %s\r\n" % (number, b"v" * 1000))
        status, headers, _ = client.answer()
        assert (status, headers["connection"]) == (431, "close")
    assert alive(impatient)


def test_a_query_string_that_is_too_large_is_answered_with_431(impatient: ServerProcess) -> None:
    with RawConnection(impatient.url) as client:
        client.send(b"GET /health?" + b"a=1&" * 30_000)
        assert client.answer()[0] == 431
    assert alive(impatient)


def test_a_head_that_does_not_come_closes_the_connection(impatient: ServerProcess) -> None:
    for start in (b"", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        with RawConnection(impatient.url) as client:
            client.send(start)
            assert client.closed()


def test_a_body_that_does_not_come_is_answered_with_408(impatient: ServerProcess) -> None:
    with RawConnection(impatient.url) as client:
        client.send(b"POST " + WRITE.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\ncpu usage=1")
        status, headers, _ = client.answer()
        assert (status, headers["connection"]) == (408, "close")
        assert client.closed()


def test_an_idle_connection_is_closed_after_the_keep_alive_timeout(impatient: ServerProcess) -> None:
    with RawConnection(impatient.url) as client:
        client.request("GET", "/health")
        assert client.answer()[0] == 200
        assert client.closed()


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(impatient: ServerProcess) -> None:
    with RawConnection(impatient.url) as client:
        client.request("POST", WRITE, "Content-Length: 99999999999", "Connection: close")
        assert client.answer()[0] == 413


def test_a_client_that_asks_first_is_not_asked_for_a_body_that_is_too_large(impatient: ServerProcess) -> None:
    with RawConnection(impatient.url) as client:
        client.request("POST", WRITE, "Content-Length: 99999999", "Expect: 100-continue")
        assert client.answer()[0] == 413


def test_a_connection_goes_on_after_a_body_that_was_refused(impatient: ServerProcess) -> None:
    body = b"cpu usage=1\n" * 200_000
    with RawConnection(impatient.url) as client:
        client.request("POST", WRITE, body=body)
        assert client.answer()[0] == 413
        client.request("GET", "/health")
        assert client.answer()[0] == 200


def test_an_endless_chunked_body_is_cut_off(impatient: ServerProcess) -> None:
    sent = 0
    with RawConnection(impatient.url) as client:
        client.request("POST", WRITE, "Transfer-Encoding: chunked")
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        try:
            while sent < 256 << 20:
                client.send(chunk)
                sent += len(chunk)
        except ConnectionError:
            pass
    assert sent < 256 << 20
    assert alive(impatient)


def test_a_gzip_bomb_costs_no_memory(impatient: ServerProcess) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(800)) + packer.flush()
    before = impatient.rss_bytes
    with ThreadPoolExecutor(8) as pool:
        headers = {"content-encoding": "gzip"}
        answers = list(pool.map(lambda _: httpx.post(impatient.url + WRITE, content=bomb, headers=headers), range(16)))
    assert {answer.status_code for answer in answers} == {413}
    assert impatient.rss_bytes - before < 100 << 20


@pytest.mark.parametrize("body", [b"not gzip", b"", b"\x1f\x8b\x08\x00"])
def test_gzip_that_is_none_is_refused(impatient: ServerProcess, body: bytes) -> None:
    answer = httpx.post(impatient.url + WRITE, content=body, headers={"content-encoding": "gzip"})
    assert answer.status_code == 400
    assert answer.text.startswith("error decoding gzip stream")


def test_other_encodings_are_refused(impatient: ServerProcess) -> None:
    for encoding in ("deflate", "br", "gzip, gzip", "zstd"):
        answer = httpx.post(impatient.url + WRITE, content=b"cpu u=1", headers={"content-encoding": encoding})
        assert answer.status_code == 400
        assert "unacceptable content-encoding" in answer.text


def test_a_line_that_is_not_utf8_is_refused_and_the_others_are_stored(server: ServerProcess, database: str) -> None:
    body = b"cpu,host=a usage=1 1000\ncpu,host=\xff\xfe usage=2 1001\ncpu,host=c usage=3 1002"
    answer = server.request("POST", "/api/v3/write_lp", params={"db": database}, content=body)
    assert answer.status_code == 400
    assert [line["line_number"] for line in answer.json()["data"]] == [2]
    assert server.query(database, "SELECT count(*) AS n FROM cpu") == [{"n": 2}]


def test_uploads_that_are_broken_off_leave_nothing_behind(impatient: ServerProcess) -> None:
    head = b"POST " + WRITE.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n"

    def vanish(number: int) -> None:
        client = RawConnection(impatient.url)
        client.send(head + b"cpu usage=1\n" * (number * 100))
        client.reset()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(vanish, range(64)))
    # Room for bodies is given back: all of it can be used again.
    body = b"cpu usage=1 1\n" * 70_000
    for _ in range(8):
        assert httpx.post(impatient.url + WRITE, content=body, timeout=20).status_code == 204


def test_more_bodies_than_fit_wait_for_their_turn(impatient: ServerProcess) -> None:
    body = b"cpu usage=1 1\n" * 70_000  # about 1 MB each, and 4 MB fit
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: httpx.post(impatient.url + WRITE, content=body, timeout=30), range(24)))
    assert {answer.status_code for answer in answers} <= {204, 503}
    assert sum(answer.status_code == 204 for answer in answers) >= 12


def test_clients_that_leave_in_the_middle_of_a_query_free_it(server: ServerProcess, database: str) -> None:
    lines = "\n".join(f"cpu,host=h{n % 50} usage={n}.5 {1_700_000_000 + n}" for n in range(20_000))
    server.write(database, lines)
    sql = "SELECT a.time, a.host, b.usage FROM cpu a CROSS JOIN cpu b"
    logged = len(server.log)
    for _ in range(8):
        with RawConnection(server.url) as client:
            query = str(httpx.QueryParams({"db": database, "q": sql, "format": "csv"}))
            client.request("GET", f"/api/v3/query_sql?{query}")
            assert client.socket.recv(1 << 16).startswith(b"HTTP/1.1 200")
            client.reset()
    wait_until(lambda: _metric(server, "headrace_queries_running") == 0, what="the end of every query")
    assert alive(server)
    assert "Traceback" not in server.log[logged:]


def test_pipelined_requests_are_answered_in_order(server: ServerProcess, database: str) -> None:
    with RawConnection(server.url) as client:
        for number in range(5):
            client.request("POST", f"/api/v3/write_lp?db={database}", body=b"cpu n=%d %d" % (number, number))
        client.request("GET", "/health")
        assert [client.answer()[0] for _ in range(6)] == [204] * 5 + [200]


def test_a_body_is_asked_for_only_once_the_token_was_checked(tmp_path_factory: pytest.TempPathFactory) -> None:
    with ServerProcess(tmp_path_factory.mktemp("guarded"), auth=True) as guarded:
        expecting = ("Content-Length: 11", "Expect: 100-continue")
        with RawConnection(guarded.url) as client:
            client.request("POST", WRITE, *expecting)
            assert client.answer()[0] == 401
        with RawConnection(guarded.url) as client:
            client.request("POST", WRITE, *expecting, f"Authorization: Bearer {guarded.token}")
            assert client.answer()[0] == 100
            client.send(b"cpu usage=1")
            assert client.answer()[0] == 204


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/api/v3/../v3/write_lp",
        "//health",
        "/health/",
        "/HEALTH",
        "/api/v3/configure/database/",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/health%00",
        "/docs/../health",
    ],
)
def test_paths_are_taken_as_they_stand(server: ServerProcess, path: str) -> None:
    with RawConnection(server.url) as client:
        client.request("GET", path)
        assert client.answer()[0] in (404, 307)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "TRACE", "CONNECT", "BREW"])
def test_methods_that_mean_nothing_are_not_found(server: ServerProcess, method: str) -> None:
    with RawConnection(server.url) as client:
        client.request(method, "/write?db=x", "Content-Length: 0")
        status, _, _ = client.answer() if method != "HEAD" else (404, {}, b"")
        assert status in (400, 404)


def _metric(server: ServerProcess, name: str) -> float:
    for line in server.request("GET", "/metrics").text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split(" ")[1])
    raise AssertionError(f"there is no metric {name}")
