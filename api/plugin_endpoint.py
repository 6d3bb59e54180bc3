"""Requests to request triggers: ``/api/v3/engine/PATH``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qsl

from headrace.api.body import BodyReader
from headrace.api.errors import NotFound
from headrace.api.services import Services, run_in

Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]

_METHODS: Final = frozenset({"GET", "POST"})
_HOP_BY_HOP: Final = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"})
"""Headers that describe the connection, which is not the plugin's."""


class PluginEndpoint:
    """Hands a request to the trigger that answers on its path, and the plugin's answer to the client."""

    def __init__(self, services: Services, bodies: BodyReader) -> None:
        self._engine = services.engine
        self._pool = services.pools.plugins
        self._bodies = bodies

    async def __call__(self, path: str, scope: dict[str, Any], receive: Receive, send: Send) -> int:
        if scope["method"] not in _METHODS:
            raise NotFound
        query = dict(parse_qsl(scope["query_string"].decode(errors="replace"), keep_blank_values=True))
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name not in (b"authorization", b"content-encoding")
        }
        with await self._bodies.read(scope["headers"], receive) as body:
            data = body.data
            response = await run_in(self._pool, lambda: self._engine.handle_request(path, query, headers, data))
        answered = [
            (name.lower().encode("latin-1"), value.encode("latin-1", errors="replace"))
            for name, value in response.headers.items()
            if name.lower() not in _HOP_BY_HOP
        ]
        answered.append((b"content-length", b"%d" % len(response.body)))
        await send({"type": "http.response.start", "status": response.status, "headers": answered})
        await send({"type": "http.response.body", "body": response.body})
        return response.status
