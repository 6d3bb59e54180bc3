"""What hostile plugins cost everybody else: the latency of one-line durable writes, without and with each of them.

Every plugin of the tests' zoo runs once a second in a trigger of its own while a client writes at a steady pace; the
same load without it is measured right before. Figures are of single acknowledged writes::

    python -m bench.isolation [--seconds 6] [--pace 200] [plugin ...]
"""

from __future__ import annotations

import argparse
import http.client
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.harness import ServerProcess

ZOO = Path(__file__).parents[1] / "tests" / "processing" / "zoo"


def latencies(server: ServerProcess, seconds: float, pace: float) -> np.ndarray:
    """Milliseconds of each write; one that begins late because the one before took long counts its waiting."""
    host = server.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=60)
    found = []
    started = time.perf_counter()
    for number in range(int(seconds * pace)):
        due = started + number / pace
        if (early := due - time.perf_counter()) > 0:
            time.sleep(early)
        connection.request(
            "POST", "/api/v3/write_lp?db=load&precision=nanosecond", f"load n={number}i {time.time_ns()}"
        )
        answer = connection.getresponse()
        answer.read()
        if answer.status != 204:
            raise SystemExit(f"a write was refused: {answer.status}")
        found.append(time.perf_counter() - due)
    return np.array(found) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--pace", type=float, default=200.0, help="writes a second")
    parser.add_argument("plugins", nargs="*")
    options = parser.parse_args()
    names = options.plugins or sorted(path.stem for path in ZOO.glob("*.py") if not path.stem.startswith("_"))
    directory = Path(tempfile.mkdtemp(prefix="bench-isolation-"))
    shutil.copytree(ZOO, directory / "plugins")
    try:
        with ServerProcess(directory, "--plugin-dir", str(directory / "plugins")) as server:
            server.write("load", "load n=0i 1")
            latencies(server, 1.0, options.pace)
            print(f"{'plugin':28} {'p50 alone':>10} {'p50 with':>10} {'p99 alone':>10} {'p99 with':>10} {'ratio':>6}")
            for name in names:
                _measure(server, name, options.seconds, options.pace)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _measure(server: ServerProcess, name: str, seconds: float, pace: float) -> None:
    alone = latencies(server, seconds, pace)
    server.client.post(
        "/api/v3/configure/processing_engine_trigger",
        json={
            "db": "load",
            "plugin_filename": f"{name}.py",
            "trigger_name": name,
            "trigger_specification": "every:1s",
            "trigger_settings": {"run_async": False, "error_behavior": "log", "time_limit": 5.0},
            "disabled": False,
        },
    ).raise_for_status()
    with_it = latencies(server, seconds, pace)
    server.client.delete(
        "/api/v3/configure/processing_engine_trigger", params={"db": "load", "trigger_name": name, "force": "true"}
    ).raise_for_status()
    one, other = np.percentile(alone, (50, 99)), np.percentile(with_it, (50, 99))
    print(
        f"{name:28} {one[0]:8.2f}ms {other[0]:8.2f}ms {one[1]:8.2f}ms {other[1]:8.2f}ms {other[1] / one[1]:5.2f}x",
        flush=True,
    )


if __name__ == "__main__":
    main()
