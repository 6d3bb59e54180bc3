"""uvicorn's HTTP/1.1 protocol with bounds on what a client may send around a request.

uvicorn limits neither how long a client may take to send the head of a request nor how large it may
be (with httptools), and it takes and drops a body that nobody wants without end. Here

- a head that is not complete in time closes the connection, and one that is too large is answered with 431;
- of a body that was answered before it was read to its end (401, 413), the rest is taken and dropped for a
  while, since most clients read the answer only when they have sent everything, and then cut off.

The bounds on bodies that are wanted are in :mod:`headrace.api.body`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 64 << 10
"""Request line and headers together, approximately: what arrived since the last whole head."""
MAX_UNWANTED_BYTES: Final = 32 << 20
"""What is taken and dropped of a body after the answer."""
_UNWANTED_SECONDS: Final = 10.0
"""How long it is taken and dropped."""
_LINGER_SECONDS: Final = 1.0
"""A client that is still sending a head when it is refused gets this long to read why."""

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
        # Where the connection is: between requests or in a head, or else in a body.
        _in_head = True
        _head_bytes = 0
        _unwanted_bytes = 0
        _refused = False
        # For the rest of the head or of an unwanted body; there is never both.
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._close_in(head_timeout)

        def connection_lost(self, exc: Exception | None) -> None:
            self._keep_open()
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
                    self._close_in(_LINGER_SECONDS)
                elif self._deadline is None:
                    self._close_in(head_timeout)

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._head_bytes = self._unwanted_bytes = 0
            self._keep_open()
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            super().on_body(body)
            if self.cycle.response_complete:
                self._unwanted_bytes += len(body)
                if self._unwanted_bytes > MAX_UNWANTED_BYTES:
                    self._close()

        def on_message_complete(self) -> None:
            super().on_message_complete()
            self._in_head = True
            self._keep_open()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self._in_head and self.cycle.response_complete:
                self._close_in(_UNWANTED_SECONDS)

        def _close_in(self, seconds: float) -> None:
            self._keep_open()
            self._deadline = self.loop.call_later(seconds, self._close)

        def _keep_open(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _close(self) -> None:
            if not self.transport.is_closing():
                self.transport.close()

    return BoundedHttpProtocol
