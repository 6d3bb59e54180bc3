"""Running a server: open what it serves, listen, and close everything in order when asked to stop.

The first SIGTERM or SIGINT stops accepting, lets requests finish, ends the plugins and persists; a second
one ends the process at once, which loses nothing that was acknowledged. A start that cannot succeed says
why in one line and gives exit code 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from types import FrameType
from typing import Final

import uvicorn
import uvloop
from headrace.api.allocator import keep_memory
from headrace.api.app import build_app
from headrace.api.gateway import Application
from headrace.api.kernels import prepare_kernels
from headrace.api.logs import configure_logging
from headrace.api.opening import open_services
from headrace.api.protocol import bounded_protocol
from headrace.api.quantities import Address
from headrace.api.routes_status import RELEASE
from headrace.api.services import Services
from headrace.api.setting import InvalidSetting
from headrace.api.settings import ServerSettings
from headrace.api.token_recovery import TokenRecovery
from headrace.wal.errors import HeadraceError

logger = logging.getLogger(__name__)

_BACKLOG: Final = 2048
_TLS_VERSIONS: Final = {"tls-1.2": ssl.TLSVersion.TLSv1_2, "tls-1.3": ssl.TLSVersion.TLSv1_3}


def run(settings: ServerSettings) -> int:
    """Serve until a signal comes; returns the process's exit code."""
    started = time.monotonic()
    try:
        configure_logging(settings.log_filter, settings.log_destination)
        for remark in settings.remarks:
            logger.warning("%s", remark)
        logger.info("headrace %s is starting as node %s", RELEASE, settings.node_id)
        keep_memory()
        prepare_kernels()
        with contextlib.ExitStack() as closing:
            listener = closing.enter_context(_bind("--http-bind", settings.http_bind))
            recovery: socket.socket | None = None
            if (address := settings.admin_token_recovery_http_bind) is not None and not settings.without_auth:
                recovery = closing.enter_context(_bind("--admin-token-recovery-http-bind", address))
            services = closing.enter_context(open_services(settings))
            _serve(services, listener, recovery, started)
    except (HeadraceError, OSError, ssl.SSLError) as error:
        logger.error("the server cannot run: %s", _one_line(error))
        return 1
    except KeyboardInterrupt:
        logger.info("stopped")
        return 130
    logger.info("stopped")
    return 0


class HttpServer(uvicorn.Server):
    """uvicorn with this server's signals and its ready line."""

    def __init__(self, config: uvicorn.Config, ready: str, *, handle_signals: bool = True) -> None:
        super().__init__(config)
        self._ready = ready
        self._handle_signals = handle_signals

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        logger.info("%s", self._ready)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if not self._handle_signals:
            yield
            return
        # uvicorn would raise the signal again once it has stopped, before anything else could be closed.
        previous = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            # Closing takes a while; a second signal must still end it.
            for number in previous:
                signal.signal(number, _leave)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            _leave(sig, frame)
        logger.info("stopping (%s)", signal.Signals(sig).name)
        self.should_exit = True


def _serve(services: Services, listener: socket.socket, recovery: socket.socket | None, started: float) -> None:
    settings = services.settings
    if settings.tcp_listener_file_path is not None:
        settings.tcp_listener_file_path.write_text(_place(listener))
    ready = f"serving on {_scheme(settings)}://{_place(listener)} after {time.monotonic() - started:.2f} s"
    server = HttpServer(_configure(build_app(services), settings), ready)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_both(server, listener, services, recovery))


async def _serve_both(
    server: HttpServer, listener: socket.socket, services: Services, recovery: socket.socket | None
) -> None:
    if recovery is None:
        await server.serve(sockets=[listener])
        return
    place = f"{_scheme(services.settings)}://{_place(recovery)}"

    def close() -> None:
        second.should_exit = True

    ready = f"anybody can regenerate the operator token on {place}, once"
    second = HttpServer(_configure(TokenRecovery(services, close), services.settings), ready, handle_signals=False)
    async with asyncio.TaskGroup() as servers:
        servers.create_task(second.serve(sockets=[recovery]))
        await server.serve(sockets=[listener])
        close()


def _configure(application: Application, settings: ServerSettings) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=bounded_protocol(settings.http_read_timeout),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        headers=[("access-control-allow-origin", "*")],
        limit_concurrency=settings.max_http_connections,
        backlog=_BACKLOG,
        timeout_keep_alive=max(1, round(settings.http_keep_alive_timeout)),
        timeout_graceful_shutdown=max(1, round(settings.shutdown_timeout)),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=str(settings.tls_key) if settings.tls_key else None,
        ssl_context_factory=functools.partial(_tls_context, settings) if settings.tls_cert else None,
    )


def _scheme(settings: ServerSettings) -> str:
    return "http" if settings.tls_cert is None else "https"


def _place(listener: socket.socket) -> str:
    return str(Address(*listener.getsockname()[:2]))


def _bind(option: str, address: Address) -> socket.socket:
    """A bound socket, not listening yet: a port that is taken shows before anything is opened."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(f"{option} {address}: the host cannot be found: {error.strerror}") from None
    family, kind, protocol, _, place = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
    except OSError as error:
        listener.close()
        raise OSError(f"{option} {address}: {os.strerror(error.errno or 0)}") from None
    return listener


def _tls_context(settings: ServerSettings, _: uvicorn.Config, __: object) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _TLS_VERSIONS[settings.tls_minimum_version]
    try:
        context.load_cert_chain(str(settings.tls_cert), str(settings.tls_key))
    except (OSError, ssl.SSLError) as error:
        raise InvalidSetting(f"--tls-cert {settings.tls_cert}, --tls-key {settings.tls_key}: {error}") from None
    return context


def _leave(number: int, _: FrameType | None) -> None:
    logger.warning("stopping at once (%s again)", signal.Signals(number).name)
    logging.shutdown()
    os._exit(128 + number)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
