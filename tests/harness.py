"""A real server in a process of its own, for end-to-end tests.

::

    with ServerProcess(tmp_path) as server:
        server.write("home", "cpu,host=a usage=0.5 1")
        assert server.query("home", "SELECT usage FROM cpu") == [{"usage": 0.5}]
        server.kill9()
        server.restart()

The server listens on a port the system chose, which it names in its log; nothing is shared between two
servers but the machine, so tests may run in parallel.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

_READY = re.compile(r"serving on (https?://\S+)")
_START_TIMEOUT = 150.0  # the very first start on a machine compiles the parser
_STOP_TIMEOUT = 60.0


class ServerProcess:
    """A server on ``directory / "data"``, started by ``start`` (or ``with``) and known by its ``url``.

    ``options`` are added to the command line (``"--wal-segment-size", "1mb"``), ``environment`` to the
    environment, which is otherwise this process's without its ``INFLUXDB3_*`` variables. With
    ``auth=True`` the server asks for a token, and ``token`` is one that it takes; otherwise it runs with
    ``--without-auth`` and ``token`` is None. Everything it prints goes to ``log_path``.
    """

    def __init__(
        self,
        directory: Path,
        *options: str,
        auth: bool = False,
        node_id: str = "node0",
        object_store: str = "file",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.log_path = directory / "server.log"
        self.node_id = node_id
        self.token: str | None = None
        self.url = ""
        self._object_store = object_store
        self._options: Sequence[str] = options
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._client: httpx.Client | None = None
        directory.mkdir(parents=True, exist_ok=True)
        if auth:
            self.token = f"apiv3_{secrets.token_urlsafe(48)}"
            token_file = directory / "admin-token.json"
            token_file.write_text(json.dumps({"token": self.token, "name": "test-admin"}))
            token_file.chmod(0o600)
            self._options = (*options, "--admin-token-file", str(token_file))
        else:
            self._options = (*options, "--without-auth")

    # Life

    def start(self, *, wait: bool = True) -> ServerProcess:
        """Start the process and, with ``wait``, return once it answers."""
        assert self._process is None or self._process.poll() is not None, "the server is running already"
        offset = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=self.environment()
            )
        if wait:
            try:
                self.wait_until_ready(offset)
            except BaseException:
                self.kill9()  # nobody else would
                raise
        return self

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "headrace.api.cli.main", "serve"),
            *("--node-id", self.node_id, "--object-store", self._object_store),
            *("--data-dir", str(self.data_dir), "--http-bind", "127.0.0.1:0"),
            *self._options,
        ]

    def environment(self) -> dict[str, str]:
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith("INFLUXDB3_") and key != "VIRTUAL_ENV"
        }
        return {**inherited, "PYTHONUNBUFFERED": "1", **self._environment}

    def wait_until_ready(self, log_offset: int = 0, timeout: float = _START_TIMEOUT) -> None:
        """Wait for the log line that names the address; raises AssertionError with the log if none comes."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            text = self.log_path.read_bytes()[log_offset:].decode(errors="replace")
            if match := _READY.search(text):
                self._connect(match[1])
                return
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with code {self.process.returncode}:\n{text}")
            time.sleep(0.02)
        raise AssertionError(f"the server was not ready after {timeout:.0f} s:\n{self.log}")

    def stop(self, timeout: float = _STOP_TIMEOUT) -> int:
        """Ask the server to stop (SIGTERM), wait, and return its exit code."""
        return self._end(signal.SIGTERM, timeout)

    def kill9(self) -> int:
        """Kill the server at once, wherever it is, and return when it is gone."""
        return self._end(signal.SIGKILL, _STOP_TIMEOUT)

    def restart(self) -> ServerProcess:
        """Start again on the same data; stops the server first if it runs. The port changes."""
        self.stop()
        return self.start()

    def wait(self, timeout: float = _STOP_TIMEOUT) -> int:
        """Wait for the process to end by itself; returns its exit code."""
        return self.process.wait(timeout)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server was not started"
        return self._process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """Everything the server has printed, over all of its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_for_log(self, pattern: str, timeout: float = 20.0) -> re.Match[str]:
        """Wait until ``pattern`` (a regular expression) occurs in the log."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if match := re.search(pattern, self.log):
                return match
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} did not occur in the log within {timeout:.0f} s:\n{self.log[-4000:]}")

    @property
    def rss_bytes(self) -> int:
        """Resident memory of the server process now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def __enter__(self) -> ServerProcess:
        return self if self.running else self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.running and self.stop() not in (0, -signal.SIGKILL) and error is None:
            raise AssertionError(f"the server ended with code {self.process.returncode}:\n{self.log[-4000:]}")

    # Requests

    @property
    def client(self) -> httpx.Client:
        """A client whose base address is the server and which sends the token. Safe to use from many threads."""
        assert self._client is not None, "the server was not started"
        return self._client

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return self.client.request(method, path, **arguments)

    def write(self, database: str, lines: str | bytes, **parameters: str) -> None:
        """Write line protocol through the v3 endpoint; raises AssertionError unless all of it was stored."""
        response = self.client.post("/api/v3/write_lp", params={"db": database, **parameters}, content=lines)
        assert response.status_code == 204, f"{response.status_code} {response.text}"

    def query(self, database: str, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows of a SQL query as dicts; raises AssertionError with the server's message if it fails."""
        body = {"db": database, "q": sql, "format": "json", "params": dict(params or {})}
        response = self.client.post("/api/v3/query_sql", json=body)
        assert response.status_code == 200, f"{response.status_code} {response.text}"
        rows: list[dict[str, Any]] = response.json()
        return rows

    def _connect(self, url: str) -> None:
        self.url = url
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if self._client is not None:
            self._client.close()
        self._client = httpx.Client(base_url=url, headers=headers, timeout=60.0, verify=False, trust_env=False)
        response = self._client.get("/health")
        assert response.status_code == 200, f"{response.status_code} {response.text}"

    def _end(self, number: signal.Signals, timeout: float) -> int:
        if self._client is not None:
            self._client.close()
            self._client = None
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
                raise AssertionError(f"the server did not stop within {timeout:.0f} s:\n{self.log[-4000:]}") from None
        return self.process.returncode


def wait_until(condition: Any, timeout: float = 20.0, *, what: str = "the condition") -> Any:
    """Poll ``condition`` until it returns something true, and return that."""
    deadline = time.monotonic() + timeout
    while True:
        if outcome := condition():
            return outcome
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout:.0f} s")
        time.sleep(0.01)
