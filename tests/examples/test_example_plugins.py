"""The example plugins do what their first lines promise."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.processing.engine_lab import EngineLab

EXAMPLES = Path(__file__).parents[2] / "examples" / "plugins"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[EngineLab]:
    lab = EngineLab(tmp_path)
    for path in EXAMPLES.glob("*.py"):
        shutil.copy(path, lab.plugin_dir)
    lab.write("seen v=0 1")
    yield lab
    lab.close()


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address that takes JSON by POST, and the list of what came."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/alerts", received
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_downsampler_writes_one_row_a_window_and_tag_set(lab: EngineLab) -> None:
    now = time.time_ns() // 10**9
    window = now // 2 * 2 - 2
    lines = [
        f"home,room={room} temp={temp},n={n}i {(window + offset) * 10**9}"
        for room, offset, temp, n in [("a", 0, 1.0, 1), ("a", 1, 3.0, 5), ("b", 0, 7.0, 2)]
    ]
    lab.write("\n".join(lines))
    lab.trigger("downsampler.py", "every:1s", {"source_table": "home", "window": "2s", "lookback": "5"})
    lab.until(lambda: lab.count("home_2s") >= 2)
    rows = lab.rows("SELECT room, temp_mean, temp_min, temp_max, temp_count, n_max FROM home_2s ORDER BY room")
    assert rows[0] == {"room": "a", "temp_mean": 2.0, "temp_min": 1.0, "temp_max": 3.0, "temp_count": 2, "n_max": 5}
    assert rows[1]["temp_mean"] == 7.0
    lab.until(lambda: lab.engine.statuses()[0].runs >= 3)
    assert lab.count("home_2s") == 2


def test_the_deadman_alerts_once_when_silence_begins_and_once_when_it_ends(
    lab: EngineLab, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    url, received = webhook
    lab.write(f"cpu,host=a v=1 {time.time_ns() - 60 * 10**9}\ncpu,host=b v=1 {time.time_ns() + 600 * 10**9}")
    lab.trigger("deadman.py", "every:100ms", {"table": "cpu", "tag": "host", "silence": "5", "webhook": url})
    lab.until(lambda: received)
    lab.until(lambda: lab.engine.statuses()[0].runs >= 4)
    assert [(alert["state"], alert["host"]) for alert in received] == [("silent", "a")]
    lab.write(f"cpu,host=a v=2 {time.time_ns()}")
    lab.until(lambda: len(received) == 2)
    assert (received[1]["state"], received[1]["host"]) == ("alive", "a")
    lab.until(lambda: lab.count("deadman_alerts") == 2)


def test_the_threshold_alert_tells_of_crossings_not_of_rows(
    lab: EngineLab, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    url, received = webhook
    arguments = {"field": "temp", "above": "25", "hysteresis": "1", "webhook": url}
    lab.trigger("threshold.py", "table:home", arguments)
    temps = [20.0, 26.0, 27.0, 24.5, 25.5, 23.0, 22.0]
    lab.write("\n".join(f"home,room=k temp={temp} {index + 1}" for index, temp in enumerate(temps)))
    lab.until(lambda: lab.count("threshold_alerts") == 2)
    assert [(row["state"], row["value"]) for row in lab.rows("SELECT * FROM threshold_alerts ORDER BY time")] == [
        ("high", 26.0),
        ("normal", 23.0),
    ]
    assert [alert["state"] for alert in received] == ["high", "normal"]


def test_unit_conversion_keeps_tags_and_times(lab: EngineLab) -> None:
    arguments = {"conversions": "temp:celsius_to_fahrenheit wind:kmh_to_ms"}
    lab.trigger("unit_conversion.py", "table:home", arguments)
    lab.write("home,room=k temp=20,wind=36i 7\nhome,room=l temp=0 8")
    lab.until(lambda: lab.count("home_converted") == 2)
    rows = lab.rows("SELECT room, temp_fahrenheit, wind_ms FROM home_converted ORDER BY time")
    assert rows[0] == {"room": "k", "temp_fahrenheit": 68.0, "wind_ms": 10.0}
    assert rows[1] == {"room": "l", "temp_fahrenheit": 32.0, "wind_ms": None}


def test_the_anomaly_score_marks_what_a_series_never_did_before(lab: EngineLab) -> None:
    lab.trigger("anomaly_score.py", "table:cpu", {"fields": "usage", "warm_up": "10", "threshold": "5"})
    usages = [50.0 + index % 3 for index in range(40)] + [500.0, 51.0]
    lab.write("\n".join(f"cpu,host=a usage={usage} {index + 1}" for index, usage in enumerate(usages)))
    lab.until(lambda: lab.count("cpu_scores") == len(usages) - 10)
    scores = [row["usage_score"] for row in lab.rows("SELECT usage_score FROM cpu_scores ORDER BY time")]
    assert max(abs(score) for score in scores[:-2]) < 3
    assert scores[-2] > 5
    assert sum("deviations away" in line for line in lab.logs()) == 1
