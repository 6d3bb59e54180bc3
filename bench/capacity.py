"""Memory and restart: 20 million cpu rows in over HTTP, then 10 million unpersisted rows and a kill -9.

Prints resident memory idle, at its peak and after a query; how long a restart takes that has to replay 10 million
rows; and whether every row is there. Takes a few minutes::

    python -m bench.capacity [--million 20]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.peers import LINES, SERVERS, make_bodies, send
from tests.harness import ServerProcess

_REQUESTS = 200
_ROUND_ROWS = LINES * _REQUESTS


class MemoryWatch:
    """The largest resident memory of a process while watched, in MB."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stop = threading.Event()
        self.peak = 0
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.peak = max(self.peak, self.now)

    @property
    def now(self) -> int:
        return int(self._process.memory_info().rss) >> 20

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def rounds(million: int) -> Iterator[list[bytes]]:
    """A million rows a round; each round's times begin with other digits than the last one's."""
    bodies = make_bodies("cpu", _REQUESTS)
    for number in range(million):
        stamp = b" %d" % (1700 + number)
        yield [body.replace(b" 1700", stamp) for body in bodies]


def ingest(server: ServerProcess, million: int) -> float:
    """Rows a second, bodies made in between not counted."""
    port = int(server.url.rsplit(":", 1)[1])
    seconds = sum(send(port, SERVERS["headrace"].path, bodies, 4) for bodies in rounds(million))
    return million * _ROUND_ROWS / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--million", type=int, default=20)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="bench-capacity-"))
    try:
        _memory(directory / "memory", options.million)
        _restart(directory / "restart", options.million // 2)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _memory(directory: Path, million: int) -> None:
    with ServerProcess(directory) as server:
        watch = MemoryWatch(server.pid)
        print(f"idle: {watch.now} MB", flush=True)
        rate = ingest(server, million)
        print(f"{million} M rows in: {rate:,.0f} rows/s, peak {watch.peak} MB, then {watch.now} MB", flush=True)
        started = time.monotonic()
        count = server.query("bench", "SELECT count(*) AS n FROM cpu")[0]["n"]
        print(f"count(*): {count:,} in {time.monotonic() - started:.2f} s; {watch.now} MB", flush=True)
        assert count == million * _ROUND_ROWS
        watch.stop()


def _restart(directory: Path, million: int) -> None:
    held = ("--wal-persist-size", "20gb", "--force-snapshot-mem-size", "20gb", "--write-buffer-limit", "20gb")
    with ServerProcess(directory, *held) as server:
        ingest(server, million)
        server.kill9()
        started = time.monotonic()
        server.start()
        print(
            f"restart with {million} M unpersisted rows: serving after {time.monotonic() - started:.2f} s", flush=True
        )
        started = time.monotonic()
        count = server.query("bench", "SELECT count(*) AS n FROM cpu")[0]["n"]
        print(f"first query: {count:,} rows in {time.monotonic() - started:.2f} s", flush=True)
        assert count == million * _ROUND_ROWS
        server.kill9()


if __name__ == "__main__":
    main()
