"""Reading a request's body: bounded in size, in time and in the memory of all bodies together.

``BodyReader.read`` gives the whole body, decompressed. Its bytes count against one budget until the
caller releases them; a request that finds the budget used up waits for its turn and then is refused,
so that no number of clients can make the server hold more than ``--http-body-memory`` of bodies.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor
from typing import Any, Final

from headrace.api.errors import (
    ClientGone,
    InvalidGzip,
    InvalidRequest,
    ReadTimedOut,
    RequestTooLarge,
    TooBusy,
    UnacceptableEncoding,
)

Headers = Iterable[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[Any]]

_BUDGET_WAIT: Final = 10.0
_CHUNK_ROOM: Final = 1 << 18
"""Room is asked for in steps of this size when a body does not say how long it is."""
_MAX_RATIO: Final = 1032
"""Deflate cannot expand a byte to more than this (zlib's technical details)."""
_INFLATE_INLINE: Final = 1 << 12
"""Up to this size decompressing takes microseconds, less than a hop to another thread."""


class ByteBudget:
    """Bytes that may be held at a time. First come, first served; used from the event loop only."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used(self) -> int:
        return self.total - self._free

    async def take(self, size: int) -> None:
        """Wait for ``size`` bytes. Raises TooBusy if they do not come free within ten seconds."""
        if not self._waiting and size <= self._free:
            self._free -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (size, turn)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(_BUDGET_WAIT):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._free += size  # its turn came at the very moment it gave up
            else:
                self._waiting.remove(entry)
            self._serve()
            if isinstance(error, TimeoutError):
                raise TooBusy(
                    f"the bodies of other requests use all of the {self.total} bytes meant for them; retry later"
                ) from None
            raise

    def give(self, size: int) -> None:
        """Give ``size`` bytes back."""
        self._free += size
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            size, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= size
                turn.set_result(None)


class Body:
    """The bytes of a body and the room they hold; a context manager that gives the room back."""

    __slots__ = ("_budget", "_held", "data")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._held = 0
        self.data = b""

    async def hold(self, size: int) -> None:
        """Hold ``size`` bytes of room in all, waiting for what is missing."""
        size = min(size, self._budget.total)
        if size > self._held:
            await self._budget.take(size - self._held)
            self._held = size

    def shrink(self, size: int) -> None:
        """Hold no more than ``size`` bytes."""
        if size < self._held:
            self._budget.give(self._held - size)
            self._held = size

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self.shrink(0)
        self.data = b""


class BodyReader:
    """Reads bodies of at most ``limit`` bytes, as sent and as decompressed.

    What is left of a body that is refused half-way is the connection's business, see :mod:`headrace.api.protocol`.
    """

    def __init__(self, limit: int, budget: ByteBudget, read_timeout: float, pool: Executor) -> None:
        self._limit = limit
        self._budget = budget
        self._read_timeout = read_timeout
        self._pool = pool

    async def read(self, headers: Headers, receive: Receive) -> Body:
        """The whole body. Leave the result by ``with`` or ``__exit__`` when its bytes are no longer needed.

        Raises RequestTooLarge, InvalidGzip, UnacceptableEncoding, ReadTimedOut, TooBusy, ClientGone.
        """
        length, gzipped = _describe(headers)
        body = Body(self._budget)
        try:
            if length is not None and length > self._limit:
                raise RequestTooLarge(self._limit)
            await body.hold(_room_for(length, self._limit, gzipped=gzipped))
            await self._receive(body, receive)
            if gzipped:
                await self._inflate(body)
            body.shrink(len(body.data))
            return body
        except BaseException:
            body.shrink(0)
            raise

    async def _receive(self, body: Body, receive: Receive) -> None:
        chunks: list[bytes] = []
        size = 0
        while True:
            try:
                async with asyncio.timeout(self._read_timeout):
                    message = await receive()
            except TimeoutError:
                raise ReadTimedOut(f"no more of the body came within {self._read_timeout:g} seconds") from None
            if message["type"] == "http.disconnect":
                raise ClientGone("client disconnected")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._limit:
                raise RequestTooLarge(self._limit)
            if size > body._held:
                await body.hold(min(size + _CHUNK_ROOM, self._limit))
            chunks.append(chunk)
            if not message.get("more_body", False):
                body.data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
                return

    async def _inflate(self, body: Body) -> None:
        await body.hold(_room_for(len(body.data), self._limit, gzipped=True))
        if len(body.data) <= _INFLATE_INLINE:
            body.data = inflate(body.data, self._limit)
        else:
            loop = asyncio.get_running_loop()
            body.data = await loop.run_in_executor(self._pool, inflate, body.data, self._limit)


def inflate(data: bytes, limit: int) -> bytes:
    """Decompress gzip ``data`` of one or more members.

    Raises RequestTooLarge as soon as the result passes ``limit`` bytes, having produced no more than
    that; InvalidGzip if it is not gzip, is damaged or ends too early.
    """
    parts: list[bytes] = []
    room = limit + 1
    rest = data
    while True:
        member = zlib.decompressobj(wbits=31)
        try:
            part = member.decompress(rest, room)
        except zlib.error as error:
            raise InvalidGzip(str(error)) from None
        room -= len(part)
        parts.append(part)
        if room <= 0:
            raise RequestTooLarge(limit)
        if not member.eof:
            raise InvalidGzip("the stream ends too early")
        # Zeros after a member are padding, as the gzip tools take them.
        rest = member.unused_data.lstrip(b"\0")
        if not rest:
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _room_for(length: int | None, limit: int, *, gzipped: bool) -> int:
    """How many bytes a body may come to hold, as sent and decompressed together."""
    if length is None:
        return _CHUNK_ROOM
    return length + min(limit, length * _MAX_RATIO) if gzipped else length


def _describe(headers: Headers) -> tuple[int | None, bool]:
    """The length a body says it has, and whether it is gzipped."""
    length: int | None = None
    gzipped = False
    for name, value in headers:
        if name == b"content-length":
            if not value.isdigit():
                raise InvalidRequest("invalid content-length header")
            length = int(value)
        elif name == b"content-encoding":
            encoding = value.strip().lower()
            if encoding == b"gzip":
                gzipped = True
            elif encoding not in (b"", b"identity"):
                raise UnacceptableEncoding(value.decode("latin-1"))
    return length, gzipped
