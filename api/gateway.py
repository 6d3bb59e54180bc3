"""Every request's way in: preflight, token, body, the endpoint, and the answer to whatever went wrong.

Writes and requests to plugins are bare ASGI endpoints; everything else is the FastAPI application, which
gets its (small) bodies whole, read within the same bounds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from headrace.api.auth import Authenticator
from headrace.api.body import BodyReader
from headrace.api.errors import ClientGone, NotFound, Rendered, render, render_v2
from headrace.api.metrics import ENGINE_PREFIX, ServerMetrics
from headrace.api.plugin_endpoint import PluginEndpoint
from headrace.api.write_endpoint import WriteEndpoint
from headrace.api.write_parameters import WriteApi
from headrace.wal.errors import HeadraceError

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_WRITE_APIS: Final[Mapping[str, WriteApi]] = {api.value: api for api in WriteApi}
_LOGGED_PATH: Final = 256
_CLIENT_GONE: Final = 499
"""In the metrics only; nobody is there to be told."""

_PREFLIGHT: Final = Rendered(
    204,
    (
        (b"access-control-allow-methods", b"*"),
        (b"access-control-allow-headers", b"*"),
        (b"access-control-max-age", b"86400"),
    ),
    b"",
)
_INTERNAL_ERROR: Final = Rendered(
    500, ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"21")), b"internal server error"
)


class Gateway:
    """The server's ASGI application."""

    def __init__(
        self,
        authenticator: Authenticator,
        metrics: ServerMetrics,
        bodies: BodyReader,
        write: WriteEndpoint,
        plugins: PluginEndpoint,
        application: Application,
    ) -> None:
        self._authenticator = authenticator
        self._metrics = metrics
        self._bodies = bodies
        self._write = write
        self._plugins = plugins
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"this server does not speak {scope['type']!r}")
        started = time.perf_counter()
        answer = _Answer(send)
        try:
            status = await self._answer(scope, receive, answer)
        except ClientGone:
            status = _CLIENT_GONE
        except HeadraceError as error:
            status = await self._refuse(scope, error, answer)
        except Exception as error:
            status = await self._fail(scope, error, answer)
        self._metrics.note_request(scope["method"], scope["path"], status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: _Answer) -> int:
        if scope["method"] == "OPTIONS":
            # Before the token: a browser's preflight request carries none.
            return await _send(_PREFLIGHT, send)
        self._authenticator.check(scope)
        method, path = scope["method"], scope["path"]
        if path in _WRITE_APIS:
            if method != "POST":
                raise NotFound
            return await self._write(_WRITE_APIS[path], scope, receive, send)
        if path.startswith(ENGINE_PREFIX):
            return await self._plugins(path.removeprefix(ENGINE_PREFIX), scope, receive, send)
        with await self._bodies.read(scope["headers"], receive) as body:
            # Decompressed by now.
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"content-encoding"]
            await self._application(scope, _once(body.data, receive), send)
        return send.status or 500

    async def _refuse(self, scope: Scope, error: HeadraceError, send: _Answer) -> int:
        level = logging.WARNING if error.status >= 500 else logging.DEBUG
        logger.log(level, "%s %s: %d %s", scope["method"], scope["path"][:_LOGGED_PATH], error.status, error.message)
        if send.status is not None:
            raise error
        match scope["path"]:
            case WriteApi.V2.value:
                rendered = render_v2(error)
            case path:
                rendered = render(error, as_json=True if path == WriteApi.V1.value else None)
        return await _send(rendered, send)

    async def _fail(self, scope: Scope, error: Exception, send: _Answer) -> int:
        """Log what nobody expected, once, and see that it is answered."""
        if isinstance(error.__cause__, ClientGone):
            # What Starlette makes of an error once the answer is under way.
            return _CLIENT_GONE
        request = f"{scope['method']} {scope['path'][:_LOGGED_PATH]}"
        if send.status is not None and not send.complete:
            # Breaking off the connection is all that is left to say; uvicorn does that, and logs the error.
            error.add_note(f"while {request!r} was being answered")
            raise error
        logger.error("%s failed", request, exc_info=error)
        # Starlette raises an error again when it has answered it.
        return await _send(_INTERNAL_ERROR, send) if send.status is None else send.status


class _Answer:
    """ASGI's ``send`` that remembers the status it has sent, and whether that was the whole answer."""

    __slots__ = ("_send", "complete", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None
        self.complete = False

    def __call__(self, message: Any) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)
        return self._send(message)


async def _send(rendered: Rendered, send: Send) -> int:
    await send({"type": "http.response.start", "status": rendered.status, "headers": rendered.headers})
    await send({"type": "http.response.body", "body": rendered.body})
    return rendered.status


def _once(data: bytes, receive: Receive) -> Receive:
    """ASGI's ``receive`` that gives a body that was read already, and then the client's departure."""
    pending = True

    async def replay() -> Any:
        nonlocal pending
        if pending:
            pending = False
            return {"type": "http.request", "body": data, "more_body": False}
        return await receive()

    return replay
