"""Requests to request triggers: ``/api/v3/engine/PATH``."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qsl

from headrace.api.body import BodyReader
from headrace.api.errors import NotFound, UnusableAnswer
from headrace.api.services import Services, run_in
from headrace.processing.run import PluginResponse

Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]

_METHODS: Final = frozenset({"GET", "POST"})
_HOP_BY_HOP: Final = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"})
"""Headers that describe the connection, which is not the plugin's."""
_NO_BODY: Final = frozenset({204, 304})
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


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
        answered = _headers(response)
        content = b"" if response.status in _NO_BODY else response.body
        if response.status not in _NO_BODY:
            answered.append((b"content-length", b"%d" % len(content)))
        await send({"type": "http.response.start", "status": response.status, "headers": answered})
        await send({"type": "http.response.body", "body": content})
        return response.status


def _headers(response: PluginResponse) -> list[tuple[bytes, bytes]]:
    """A plugin's headers as they are sent. Raises UnusableAnswer for what would break the connection."""
    if not 200 <= response.status <= 599:
        raise UnusableAnswer(f"the plugin answered with status {response.status}; it must be from 200 to 599")
    headers = []
    for name, value in response.headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise UnusableAnswer(f"the plugin answered with a header that cannot be sent: {name[:64]!r}")
        if name.lower() not in _HOP_BY_HOP:
            headers.append((name.lower().encode(), value.encode("latin-1")))
    return headers
