"""What the tests of the command line share: a server that records, and a clean environment."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from headrace.api.cli.main import main

from tests.cli.recording_server import RecordingServer, recording_server


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("INFLUXDB3_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "argv", ["headrace"])
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with recording_server() as running:
        yield running


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run the CLI in this process: ``run("show", "databases", stdin="yes")``."""

    def run_cli(*words: str, stdin: str | bytes = "") -> Outcome:
        data = stdin if isinstance(stdin, bytes) else stdin.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        capfdbinary.readouterr()
        try:
            code = main(words)
        except SystemExit as stop:
            code = int(stop.code or 0)
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return Outcome(code, out.decode(), err.decode())

    return run_cli


@pytest.fixture
def ask(run: Callable[..., Outcome], server: RecordingServer) -> Callable[..., Outcome]:
    """As ``run``, against the recording server."""

    def ask_server(*words: str, stdin: str | bytes = "") -> Outcome:
        return run(*words, "--host", server.url, stdin=stdin)

    return ask_server
