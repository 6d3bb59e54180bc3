"""Starting and stopping: messages, exit codes, signals."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.api.raw_http import RawConnection
from tests.harness import ServerProcess, wait_until


def refused(server: ServerProcess) -> list[str]:
    """The log lines of a start that must fail."""
    server.start(wait=False)
    assert server.wait(30) == 1
    assert "Traceback" not in server.log
    return server.log.strip().splitlines()


def accepts(server: ServerProcess) -> bool:
    """Whether a new connection is taken."""
    try:
        RawConnection(server.url).socket.close()
    except OSError:
        return False
    return True


def test_a_server_starts_within_seconds_and_says_where_it_serves(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        assert f"serving on {server.url}" in server.log
        started = time.monotonic()
        server.stop()
        server.start()
        assert time.monotonic() - started < 20


def test_the_first_start_compiles_and_begins_again_without_the_compiler(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, environment={"NUMBA_CACHE_DIR": str(tmp_path / "kernels")})
    server.start(wait=False)
    pid = server.pid
    try:
        server.wait_until_ready(timeout=150)
        assert server.log.count("is starting as node") == 2
        assert server.pid == pid
        assert server.query("_internal", "SELECT 1 AS one") == [{"one": 1}]
        assert server.stop() == 0
        server.start()
        assert server.log.count("is starting as node") == 3  # the kernels are there now
    finally:
        if server.running:
            server.stop()


def test_sigterm_ends_the_server_in_order_and_everything_is_persisted(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.write("home", "cpu n=1i 1000")
        assert server.stop() == 0
        assert list(server.data_dir.rglob("*.parquet"))
        assert server.log.strip().endswith("stopped")
        server.start()
        assert server.query("home", "SELECT n FROM cpu") == [{"n": 1}]


def test_sigint_ends_the_server_as_well(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.signal(signal.SIGINT)
        assert server.wait() == 0


def test_a_request_under_way_is_finished_before_the_server_stops(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server, RawConnection(server.url) as client:
        client.send(b"POST /api/v3/write_lp?db=home HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\ncpu ")
        assert httpx.get(f"{server.url}/health").status_code == 200
        server.signal(signal.SIGTERM)
        server.wait_for_log("stopping")
        wait_until(lambda: not accepts(server), what="the end of accepting")
        client.send(b"usage=1")
        assert client.answer()[0] == 204
        assert server.wait() == 0
        server.start()
        assert server.query("home", "SELECT usage FROM cpu") == [{"usage": 1}]


def test_a_second_signal_ends_the_server_at_once_and_loses_nothing(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.write("home", "cpu n=1i 1000")
        with RawConnection(server.url) as client:
            client.send(b"POST /api/v3/write_lp?db=home HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\ncpu ")
            assert httpx.get(f"{server.url}/health").status_code == 200
            server.signal(signal.SIGTERM)
            server.wait_for_log("stopping")
            server.signal(signal.SIGTERM)
            assert server.wait(10) == 128 + signal.SIGTERM
        server.start()
        assert server.query("home", "SELECT n FROM cpu") == [{"n": 1}]


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        lines = refused(ServerProcess(tmp_path, "--http-bind", address))
        assert f"--http-bind {address}: Address already in use" in lines[-1]


def test_a_data_directory_in_use_is_named(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        lines = refused(ServerProcess(tmp_path / "second", "--data-dir", str(server.data_dir)))
        assert str(server.data_dir) in lines[-1]
        assert "in use by another" in lines[-1]


def test_a_damaged_log_is_named_and_can_be_salvaged(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        for n in range(10):
            server.write("home", f"cpu n={n}i {1000 + n}")
        server.kill9()
        segment = max(server.data_dir.rglob("wal/*"), key=lambda path: path.stat().st_size)
        damaged = bytearray(segment.read_bytes())
        damaged[len(damaged.rstrip(b"\0")) // 2] ^= 0xFF
        segment.write_bytes(damaged)
        lines = refused(server)
        assert segment.name in lines[-1]
        salvaging = ServerProcess(tmp_path / "again", "--wal-salvage", "--data-dir", str(server.data_dir))
        with salvaging:
            assert salvaging.query("home", "SELECT count(*) > 0 AS some FROM cpu") == [{"some": True}]


def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, "--wal-flush-interval", "soon")
    server.start(wait=False)
    assert server.wait(30) != 0
    assert "--wal-flush-interval: 'soon' is not a duration" in server.log


def test_a_token_file_without_a_token_is_named(tmp_path: Path) -> None:
    file = tmp_path / "token.json"
    file.write_text('{"token": "secret", "name": "x"}')
    server = ServerProcess(tmp_path / "server", auth=True)
    server._options = ("--admin-token-file", str(file))
    assert "a token starts with 'apiv3_'" in refused(server)[-1]


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    environment = {"INFLUXDB3_MAX_HTTP_REQUEST_SIZE": "1kb", "INFLUXDB3_WAL_SNAPSHOT_SIZE": "600"}
    with ServerProcess(tmp_path, environment=environment) as server:
        answer = server.request("POST", "/write", params={"db": "x"}, content=b"cpu usage=1\n" * 200)
        assert answer.status_code == 413
        assert "INFLUXDB3_WAL_SNAPSHOT_SIZE does nothing here" in server.log


def test_a_server_in_memory_keeps_nothing(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, object_store="memory") as server:
        server.write("home", "cpu n=1i 1000")
        assert server.query("home", "SELECT n FROM cpu") == [{"n": 1}]
        server.restart()
        assert server.request("GET", "/api/v3/configure/database").json() == [{"iox::database": "_internal"}]
        assert not server.data_dir.exists()


def test_the_address_can_be_written_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "address"
    with ServerProcess(tmp_path, "--tcp-listener-file-path", str(file)) as server:
        assert server.url == f"http://{file.read_text()}"


def test_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1")
    files = ("-keyout", str(key), "-out", str(certificate))
    subprocess.run(["openssl", "req", "-x509", *curve, *subject, *files], check=True, capture_output=True)
    options = ("--tls-cert", str(certificate), "--tls-key", str(key), "--tls-minimum-version", "tls-1.3")
    with ServerProcess(tmp_path / "server", *options) as server:
        assert server.url.startswith("https://")
        trusted = ssl.create_default_context(cafile=str(certificate))
        assert httpx.get(f"{server.url}/health", verify=trusted).text == "OK"
        server.write("home", "cpu n=1i 1000")
        trusted.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/health", verify=trusted)
    lines = refused(ServerProcess(tmp_path / "wrong", "--tls-cert", str(key), "--tls-key", str(key)))
    assert f"--tls-cert {key}" in lines[-1]


def test_nothing_blocks_the_event_loop(tmp_path: Path) -> None:
    """In asyncio's debug mode the loop reports every callback that ran for more than 100 ms."""
    with ServerProcess(tmp_path, environment={"PYTHONASYNCIODEBUG": "1"}) as server:
        server.wait_for_log("serving on")
        start = len(server.log)
        large = "\n".join(f"cpu,host=h{n % 100} usage={n}.5,n={n}i {1_700_000_000 + n}" for n in range(60_000))

        def work(number: int) -> None:
            if number % 3 == 0:
                server.write("home", large)
            elif number % 3 == 1:
                for n in range(50):
                    server.write("home", f"mem{number},host=a used={n} {n}")
            else:
                server.query("home", "SELECT host, avg(usage) FROM cpu GROUP BY host")

        server.write("home", large)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(12)))
        slow = [line for line in server.log[start:].splitlines() if "took" in line and "Executing" in line]
        assert not slow
