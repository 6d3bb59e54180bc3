"""What nobody expected is answered, and told once."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from headrace.api.app import authenticator, build_app
from headrace.api.body import BodyReader, ByteBudget
from headrace.api.gateway import Application, Gateway
from headrace.api.opening import open_services
from headrace.api.plugin_endpoint import PluginEndpoint
from headrace.api.protocol import bounded_protocol
from headrace.api.server import HttpServer
from headrace.api.services import Services
from headrace.api.settings import ServerSettings
from headrace.api.write_endpoint import WriteEndpoint

from tests.api.raw_http import RawConnection


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    settings = ServerSettings.load(
        {"data-dir": str(tmp_path), "without-auth": "true", "max-concurrent-queries": "2"}, {}
    )
    with open_services(settings) as services:
        yield services


@contextmanager
def serving(application: Application) -> Iterator[str]:
    """A server of the application in this process; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application, http=bounded_protocol(5.0), lifespan="off", log_config=None)
    server = HttpServer(config, "ready", handle_signals=False)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.exc_info]


def test_an_unexpected_error_is_answered_and_logged_once_and_the_connection_stays(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    services.store.write("db", b"m v=1 1")
    services.pools.queries.shutdown()  # whatever is asked of it raises RuntimeError
    with serving(build_app(services)) as url, RawConnection(url) as client:
        for _ in range(2):
            client.request("GET", "/api/v3/query_sql?db=db&q=select+1")
            assert client.answer()[0] == 500
        client.request("GET", "/health")
        assert client.answer()[0] == 200
    assert len(tracebacks(caplog)) == 2
    assert all("GET /api/v3/query_sql failed" in record.getMessage() for record in tracebacks(caplog))


def test_an_error_in_the_middle_of_an_answer_breaks_off_the_connection_and_is_logged_once(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("out of words")

    bodies = BodyReader(1 << 20, ByteBudget(1 << 20), 5.0, services.pools.ingest)
    write, plugins = WriteEndpoint(services, bodies), PluginEndpoint(services, bodies)
    gateway = Gateway(authenticator(services), services.metrics, bodies, write, plugins, breaks)
    with serving(gateway) as url, RawConnection(url) as client:
        client.request("GET", "/half")
        assert client.closed()
    (record,) = tracebacks(caplog)
    assert record.exc_info is not None
    assert record.exc_info[1] is not None
    assert record.exc_info[1].__notes__ == ["while 'GET /half' was being answered"]
