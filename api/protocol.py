"""uvicorn's HTTP/1.1 protocol with bounds on a request's head.

uvicorn limits neither how long a client may take to send the head of a request nor how large it may
be (with httptools). Here a head that is not complete in time closes the connection, and one that is
too large is answered with 431. The bounds on bodies are in :mod:`headrace.api.body`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 64 << 10
"""Request line and headers together, approximately: what arrived since the last whole head."""
_LINGER_SECONDS: Final = 1.0
"""A client that is still sending when it is refused gets this long to read why before the connection is closed."""

_TOO_LARGE_TEXT: Final = b"request headers are too large"
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n"
    b"connection: close\r\n\r\n%s" % (len(_TOO_LARGE_TEXT), _TOO_LARGE_TEXT)
)


def bounded_protocol(head_timeout: float) -> type[HttpToolsProtocol]:
    """The protocol class for uvicorn's ``http`` setting; ``head_timeout`` is in seconds."""

    class BoundedHttpProtocol(HttpToolsProtocol):
        _head_bytes = 0
        _head_timer: asyncio.TimerHandle | None = None
        _in_head = True
        _refused = False

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._expect_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_arrived()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._refused:
                return
            if self._in_head:
                self._head_bytes += len(data)
            super().data_received(data)
            if self._head_bytes and not self.transport.is_closing():
                if self._head_bytes > MAX_HEAD_BYTES:
                    self._refused = True
                    self.transport.write(_TOO_LARGE)
                    self.loop.call_later(_LINGER_SECONDS, self._give_up)
                elif self._head_timer is None:
                    self._expect_head()

        def on_headers_complete(self) -> None:
            self._head_arrived()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            super().on_message_complete()
            self._in_head = True

        def _expect_head(self) -> None:
            self._head_timer = self.loop.call_later(head_timeout, self._give_up)

        def _head_arrived(self) -> None:
            self._in_head = False
            self._head_bytes = 0
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _give_up(self) -> None:
            if not self.transport.is_closing():
                self.transport.close()

    return BoundedHttpProtocol
