"""A server with triggers is killed again and again; every row must have been processed exactly once, in order.

The plugins make repetition visible: what they write has random times, so a run that took effect twice leaves
twice as many rows.
"""

from __future__ import annotations

import itertools
import random
import textwrap
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.crash.rounds import seed, soak_rounds
from tests.harness import ServerProcess, wait_until

PLUGIN = textwrap.dedent(
    """
    import random
    import time

    def process_writes(influxdb3_local, table_batches, args=None):
        target = args["target"]
        for batch in table_batches:
            numbers = [row["n"] for row in batch["rows"]]
            for number in numbers:
                line = LineBuilder("copy_" + target).int64_field("n", number)
                influxdb3_local.write(line.time_ns(random.getrandbits(61)))
            line = LineBuilder("runs_" + target).int64_field("rows", len(numbers)).int64_field("first", numbers[0])
            line.int64_field("last", numbers[-1]).int64_field("sum", sum(numbers)).int64_field("began", time.time_ns())
            influxdb3_local.write(line.time_ns(random.getrandbits(61)))
    """
)


@dataclass
class Writer:
    """Sends increasing numbers in requests of a few rows until stopped or the server is gone."""

    url: str
    next: int
    acked: int = 0

    def run(self, stop: threading.Event, random_: random.Random) -> None:
        with httpx.Client(base_url=self.url, timeout=30) as client:
            while not stop.is_set():
                rows = random_.choice((1, 3, 50, 400))
                first, self.next = self.next, self.next + rows
                body = "\n".join(f"numbers n={number}i {number}" for number in range(first, first + rows))
                try:
                    answer = client.post(
                        "/api/v3/write_lp", params={"db": "d", "precision": "nanosecond"}, content=body
                    )
                except httpx.HTTPError:
                    return
                assert answer.status_code == 204, answer.text
                self.acked += rows


def _run_rounds(directory: Path, rounds: int) -> str:
    random_ = random.Random(seed())
    plugins = directory / "plugins"
    plugins.mkdir()
    (plugins / "copy.py").write_text(PLUGIN)
    options = ("--plugin-dir", str(plugins), "--wal-flush-interval", "50ms", "--wal-segment-size", "256kb")
    server = ServerProcess(directory, *options)
    acked, following = 0, 0
    try:
        server.start()
        server.write("d", "seen v=1")
        for name, run_async in (("ordered", False), ("overlapping", True)):
            created = server.client.post(
                "/api/v3/configure/processing_engine_trigger",
                json={
                    "db": "d",
                    "plugin_filename": "copy.py",
                    "trigger_name": name,
                    "trigger_specification": "table:numbers",
                    "trigger_settings": {"run_async": run_async, "error_behavior": "log"},
                    "trigger_arguments": {"target": name},
                    "disabled": False,
                },
            )
            assert created.is_success, created.text
        for _ in range(rounds):
            writer = Writer(server.url, following)
            stop = threading.Event()
            thread = threading.Thread(target=writer.run, args=(stop, random_))
            thread.start()
            thread.join(random_.uniform(0.05, 1.0))
            server.kill9()
            stop.set()
            thread.join()
            acked, following = acked + writer.acked, writer.next
            server.start()
        return _judge(server, acked)
    finally:
        if server.running:
            server.stop()


def _judge(server: ServerProcess, acked: int) -> str:
    written = sorted(row["n"] for row in server.query("d", "SELECT n FROM numbers"))
    assert len(written) >= acked
    report = [f"{len(written)} rows ({acked} acked)"]
    for name in ("ordered", "overlapping"):
        wait_until(lambda name=name: _rows(server, f"runs_{name}") >= len(written), timeout=120)
        # Give a second processing the time to show itself: everything the log holds has been looked at.
        wait_until(lambda name=name: _lag(server, name) == 0, timeout=60)
        copied = sorted(row["n"] for row in server.query("d", f"SELECT n FROM copy_{name}"))
        assert copied == written, f"{name}: {len(copied)} rows copied, {len(set(copied))} different"
        runs = server.query("d", f"SELECT * FROM runs_{name} ORDER BY first")
        assert sum(run["rows"] for run in runs) == len(written)
        assert sum(run["sum"] for run in runs) == sum(written)
        assert all(one["last"] < other["first"] for one, other in itertools.pairwise(runs))
        if name == "ordered":
            assert [run["began"] for run in runs] == sorted(run["began"] for run in runs)
        report.append(f"{name}: {len(runs)} runs, 0 lost, 0 doubled")
    return "; ".join(report)


def _rows(server: ServerProcess, table: str) -> int:
    tables = {row["table_name"] for row in server.query("d", "SELECT table_name FROM information_schema.tables")}
    return server.query("d", f"SELECT sum(rows) AS n FROM {table}")[0].get("n") or 0 if table in tables else 0


def _lag(server: ServerProcess, trigger: str) -> int:
    statement = f"SELECT lag_sequences FROM system.processing_engine_triggers WHERE trigger_name = '{trigger}'"
    return int(server.query("d", statement)[0]["lag_sequences"])


@pytest.mark.timeout(300)
def test_every_row_is_processed_once_and_in_order_whatever_is_killed(tmp_path: Path) -> None:
    print(_run_rounds(tmp_path, 6))


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_triggers_survive_hundreds_of_kills(tmp_path: Path) -> None:
    rounds = soak_rounds(200)
    started = time.monotonic()
    print(f"{rounds} rounds: {_run_rounds(tmp_path, rounds)}, {time.monotonic() - started:.0f} s")
