"""Writes over HTTP, end to end: a real server on this machine, durable acknowledgements.

``python -m pytest bench/test_http.py``. The client shares the machine's processors with the server.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.generators import cpu, home
from tests.harness import ServerProcess

LINES = 5_000


class Client:
    """One keep-alive connection that writes and waits for the answer, with as little of its own as can be."""

    def __init__(self, url: str, database: str) -> None:
        place = urlsplit(url)
        self._socket = socket.create_connection((place.hostname or "", place.port or 80))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f"POST /api/v3/write_lp?db={database} HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n"

    def write(self, body: bytes) -> None:
        head = (self._head % len(body)).encode()
        if len(body) < 1 << 12:
            self._socket.sendall(head + body)
        else:
            self._socket.sendall(head)
            self._socket.sendall(body)
        answer = self._socket.recv(1 << 16)
        assert b" 204 " in answer, answer.decode(errors="replace")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("bench")) as process:
        yield process


def test_one_line(benchmark: BenchmarkFixture, server: ServerProcess) -> None:
    """Latency of one durable line over a keep-alive connection."""
    client = Client(server.url, "one_line")
    numbers = iter(range(10**9))

    def write() -> None:
        number = next(numbers)
        client.write(b"home,room=Kitchen temp=21.5,hum=%di %d" % (number, 1_700_000_000_000_000_000 + number))

    for _ in range(200):
        write()
    benchmark.pedantic(write, rounds=3_000, iterations=1)
    times = sorted(benchmark.stats.stats.data)
    benchmark.extra_info["p50_ms"] = round(times[len(times) // 2] * 1e3, 3)
    benchmark.extra_info["p99_ms"] = round(times[len(times) * 99 // 100] * 1e3, 3)
    client.close()


@pytest.mark.parametrize("clients", [1, 4])
@pytest.mark.parametrize("rows", ["cpu", "home"])
def test_ingest(benchmark: BenchmarkFixture, tmp_path: Path, rows: str, clients: int) -> None:
    """Lines a second that are on disk when acknowledged, in requests of 5,000 lines."""
    make = {"cpu": cpu, "home": home}[rows]
    bodies = [make(LINES, seed=seed) for seed in range(8)]
    requests = 24
    with ServerProcess(tmp_path, "--max-http-request-size", "64mb") as server:
        connections = [Client(server.url, f"db{number}") for number in range(clients)]

        def work(client: Client, start: threading.Barrier) -> None:
            start.wait()
            for number in range(requests // clients):
                client.write(bodies[number % len(bodies)])

        def run() -> None:
            start = threading.Barrier(clients)
            with ThreadPoolExecutor(clients) as pool:
                list(pool.map(lambda client: work(client, start), connections))

        run()
        benchmark.pedantic(run, rounds=5, iterations=1)
        total = requests // clients * clients * LINES
        size = requests // clients * clients * sum(map(len, bodies)) / len(bodies)
        seconds = benchmark.stats.stats.median
        benchmark.extra_info["lines_per_second"] = round(total / seconds)
        benchmark.extra_info["megabytes_per_second"] = round(size / seconds / 1e6)
        for connection in connections:
            connection.close()
