"""Writes: line protocol in, 204 out once it is on disk.

The hot path of the server, so it is a bare ASGI endpoint: no routing, no models, one pass. A body of a few
lines is parsed right here on the event loop, which takes less time than handing it to a thread; larger
bodies are parsed on the ingest threads, with the interpreter's lock released. Nobody's thread waits for the
disk: the log's future wakes the request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from headrace.api.body import BodyReader
from headrace.api.errors import EmptyWrite, LinesRefused
from headrace.api.services import Services, run_in
from headrace.api.write_parameters import WriteApi, WriteParameters, parse_write_parameters
from headrace.storage.errors import BufferFull
from headrace.storage.ingest import LinesPart, PendingWrite
from headrace.wal.errors import WalFull

Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]

_INLINE_BYTES: Final = 4 << 10
"""Bodies up to this size are parsed on the event loop: at most some tens of microseconds."""

_NO_CONTENT: Final = {"type": "http.response.start", "status": 204, "headers": ()}
_END: Final = {"type": "http.response.body", "body": b""}


class WriteEndpoint:
    """Answers a write to any of the three write paths."""

    def __init__(self, services: Services, bodies: BodyReader) -> None:
        self._store = services.store
        self._ingest = services.store.ingest
        self._pool = services.pools.ingest
        self._metrics = services.metrics
        self._bodies = bodies

    async def __call__(self, api: WriteApi, scope: dict[str, Any], receive: Receive, send: Send) -> int:
        """Answer 204 and return it; whatever else the answer is, it is raised."""
        arrived_ns = time.time_ns()
        parameters = parse_write_parameters(api, scope["query_string"])
        with await self._bodies.read(scope["headers"], receive) as body:
            size = len(body.data)
            pending = await self._submit(body.data, parameters, arrived_ns)
        await asyncio.wrap_future(pending.future)
        self._metrics.note_write(pending.rows if pending.stored else 0, pending.error_count, size)
        if pending.error_count:
            raise LinesRefused(pending.errors, pending.error_count, partial=parameters.accept_partial)
        if not pending.rows:
            raise EmptyWrite
        await send(_NO_CONTENT)
        await send(_END)
        return 204

    async def _submit(self, data: bytes, parameters: WriteParameters, arrived_ns: int) -> PendingWrite:
        parts = (LinesPart(parameters.database, data, parameters.precision, arrived_ns),)

        def submit(timeout: float | None = None) -> PendingWrite:
            return self._ingest.submit(
                parts, accept_partial=parameters.accept_partial, sync=parameters.sync, timeout=timeout
            )

        if len(data) <= _INLINE_BYTES and self._store.buffer_bytes < self._store.settings.buffer_limit_bytes:
            try:
                return submit(0)
            except (WalFull, BufferFull):
                pass  # wait for room, but not here
        return await run_in(self._pool, submit)
