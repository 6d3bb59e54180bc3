"""Ingest over HTTP, side by side with the compiled peers that are installed, in one run on one machine.

Every server gets the same requests of 5,000 lines over keep-alive connections on loopback, from 1 and from 4
clients; a request counts when it is acknowledged. headrace and InfluxDB acknowledge what is synced to disk,
VictoriaMetrics what is in memory. Each server runs alone, on a fresh directory; figures are medians of several
rounds, each with data of its own::

    python -m bench.peers [--rounds 3] [--requests 60] [--servers headrace,influxdb,victoria-metrics]

Peers from Debian: ``apt-get install influxdb victoria-metrics``.
"""

from __future__ import annotations

import argparse
import http.client
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from bench import generators

LINES = 5_000


@dataclass(frozen=True)
class Server:
    """How to start a server on a port and a directory, and where line protocol goes."""

    name: str
    command: Callable[[int, Path], list[str]]
    ready: str
    path: str


def _headrace(port: int, directory: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "headrace.api.cli.main", "serve", "--node-id", "bench", "--object-store", "file"),
        *("--data-dir", str(directory), "--http-bind", f"127.0.0.1:{port}", "--without-auth"),
    ]


def _influxdb(port: int, directory: Path) -> list[str]:
    config = directory / "influxdb.conf"
    config.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{_free_port()}"\n'
        f'[meta]\ndir = "{directory}/meta"\n[data]\ndir = "{directory}/data"\nwal-dir = "{directory}/wal"\n'
        "max-values-per-tag = 0\nmax-series-per-database = 0\n"
        f'[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\nmax-body-size = 0\n'
        "[monitor]\nstore-enabled = false\n"
    )
    return ["influxd", "run", "-config", str(config)]


def _victoria(port: int, directory: Path) -> list[str]:
    return [
        *("victoria-metrics", f"-storageDataPath={directory}", f"-httpListenAddr=127.0.0.1:{port}"),
        "-retentionPeriod=100y",
    ]


SERVERS = {
    server.name: server
    for server in (
        Server("headrace", _headrace, "/health", "/api/v3/write_lp?db=bench&precision=nanosecond"),
        Server("influxdb", _influxdb, "/ping", "/write?db=bench&precision=ns"),
        Server("victoria-metrics", _victoria, "/health", "/write?db=bench&precision=ns"),
    )
}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(server: Server) -> Iterator[int]:
    """The server on a fresh directory, ready; gives its port."""
    directory = Path(tempfile.mkdtemp(prefix=f"bench-{server.name}-"))
    port = _free_port()
    process = subprocess.Popen(
        server.command(port, directory), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        _wait_until_ready(port, server.ready)
        if server.name == "influxdb":
            _request(http.client.HTTPConnection("127.0.0.1", port), "/query?q=CREATE+DATABASE+bench", b"")
        yield port
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(directory, ignore_errors=True)


def _wait_until_ready(port: int, path: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status < 300:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"no answer on port {port}")


def _request(connection: http.client.HTTPConnection, path: str, body: bytes) -> None:
    connection.request("POST", path, body)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise SystemExit(f"{path}: {answer.status} {text[:500]!r}")


def send(port: int, path: str, bodies: Sequence[bytes], clients: int) -> float:
    """Seconds until every body is acknowledged, with ``clients`` connections taking from one queue."""
    queue: SimpleQueue[bytes] = SimpleQueue()
    for body in bodies:
        queue.put(body)

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                body = queue.get_nowait()
            except Empty:
                return
            _request(connection, path, body)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def make_bodies(shape: str, requests: int) -> list[bytes]:
    """Bodies of 5,000 lines; time goes on from one to the next, so that no row replaces another."""
    lines = generators.SHAPES[shape](LINES * requests).splitlines(keepends=True)
    return [b"".join(lines[first : first + LINES]) for first in range(0, len(lines), LINES)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=60, help="requests a round")
    parser.add_argument("--shapes", default="cpu,home")
    parser.add_argument("--clients", default="1,4")
    parser.add_argument("--servers", default=",".join(SERVERS))
    options = parser.parse_args()
    for shape in options.shapes.split(","):
        bodies = make_bodies(shape, options.requests * options.rounds)
        for clients in map(int, options.clients.split(",")):
            found: dict[str, float] = {}
            for name in options.servers.split(","):
                with running(SERVERS[name]) as port:
                    times = [
                        send(port, SERVERS[name].path, bodies[at : at + options.requests], clients)
                        for at in range(0, len(bodies), options.requests)
                    ]
                found[name] = LINES * options.requests / statistics.median(times)
                size = sum(map(len, bodies)) / len(bodies) / LINES
                ratio = f"  headrace x{found['headrace'] / found[name]:.2f}" if "headrace" in found else ""
                rate = f"{found[name]:>12,.0f} lines/s {found[name] * size / 1e6:8.1f} MB/s"
                print(f"{shape:6} {clients} clients  {name:18} {rate}{ratio}", flush=True)


if __name__ == "__main__":
    main()
