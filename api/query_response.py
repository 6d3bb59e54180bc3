"""A query's answer as it streams to the client, in constant memory.

The query runs as fast as the client reads: the next piece of the answer is produced, on a query thread,
when the last one has been taken. A client that goes away, or takes nothing for too long, cancels it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from headrace.api.errors import ClientGone
from headrace.api.services import Services, run_in
from headrace.query.formats import ResultFormat, encode
from headrace.query.result import QueryResult

logger = logging.getLogger(__name__)

_PIECE_BYTES: Final = 256 << 10
"""Pieces are joined up to this size before they are sent: a thread hop and a system call a piece."""
_STALL_SECONDS: Final = 120.0


class RunningQuery:
    """A query that has been started, and the rest of its answer."""

    def __init__(self, services: Services, result: QueryResult, result_format: ResultFormat) -> None:
        self.result_format = result_format
        self._pool = services.pools.queries
        self._metrics = services.metrics
        self._result = result
        self._pieces: Iterator[bytes] = encode(result, result_format)
        self._started = time.perf_counter()
        self._outcome: str | None = None
        self._exhausted = False
        self._metrics.queries_running.inc()

    def next_piece(self) -> bytes:
        """The next piece, on a query thread; empty at the end. Raises what the query raises."""
        parts: list[bytes] = []
        size = 0
        try:
            while size < _PIECE_BYTES:
                part = next(self._pieces, None)
                if part is None:
                    self._exhausted = True
                    break
                parts.append(part)
                size += len(part)
        except BaseException:
            self.finish("error")
            raise
        if self._exhausted:
            self.finish("success")
        return b"".join(parts)

    @property
    def exhausted(self) -> bool:
        """Whether ``next_piece`` has given the last one."""
        return self._exhausted

    def finish(self, outcome: str) -> None:
        """Free what the query holds; the first outcome counts."""
        if self._outcome is None:
            self._outcome = outcome
            self._result.close()
            self._metrics.queries_running.dec()
            self._metrics.note_query(outcome, time.perf_counter() - self._started)

    async def send(
        self, first: bytes, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Send the answer, whose first piece is ``first``. Raises ClientGone if nobody reads it to its end."""
        headers = [(b"content-type", self.result_format.content_type.encode())]
        if self.exhausted:
            headers.append((b"content-length", b"%d" % len(first)))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if self.exhausted:
            await send({"type": "http.response.body", "body": first})
            return
        gone = asyncio.create_task(_disconnected(receive))
        # Cancelling makes a piece that is being computed end early.
        gone.add_done_callback(lambda task: None if task.cancelled() else self.finish("cancelled"))
        piece = first
        try:
            while True:
                async with asyncio.timeout(_STALL_SECONDS):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                if gone.done():
                    raise ClientGone("client disconnected")
                if self.exhausted:
                    break
                piece = await run_in(self._pool, self.next_piece)
            await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            logger.warning("a query's client took nothing for %.0f seconds: the query is cancelled", _STALL_SECONDS)
            raise ClientGone("the client does not read the answer") from None
        except Exception:
            if gone.done():
                raise ClientGone("client disconnected") from None
            raise
        finally:
            gone.cancel()
            self.finish("cancelled")


async def _disconnected(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
