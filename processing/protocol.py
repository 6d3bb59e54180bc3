"""The wire protocol between the server and a plugin worker.

Both ends of a stream socket pair speak in messages::

    magic "HRW" + version (4 bytes) | kind (u16) | reserved (u16) | header length (u32) | payload length (u64)
    header: a JSON object
    payload: bytes whose meaning depends on the kind (Arrow IPC streams, line protocol, pickles)

A message travels whole. A run begins with RUN from the server; the worker answers with any number of LOG,
QUERY, WRITE and CACHE messages and ends with exactly one DONE or FAILED. Only QUERY, WRITE and CACHE are
answered (with RESULT…, RESULT_END or REPLY), so neither side can wait for the other for ever.

The server trusts nothing that comes from a worker: lengths are bounded before a byte is stored, headers are
plain JSON, and payloads that hold pickles are never opened on the server's side. Whatever does not fit is a
:class:`ProtocolViolation`, which costs the worker its life and the server nothing.

This module is imported by workers, so it uses the standard library only.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import select
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

VERSION = 1
MAGIC = b"HRW" + bytes([VERSION])
_PREFIX = struct.Struct("<4sHHIQ")

MAX_HEADER = 8 << 20
EXIT_LINK_LOST = 74
"""The exit status of a worker whose link to the server broke (EX_IOERR)."""
_LARGE = 1 << 20
# One sendmsg takes at most IOV_MAX buffers; this stays well below every kernel's limit.
_MAX_BUFFERS = 512

Buffer = bytes | bytearray | memoryview


class Kind(IntEnum):
    """What a message says."""

    # server → worker
    LOAD = 1  # header: how to find the plugin, what to call, the limits; answered by LOADED or FAILED
    RUN = 2  # header: {"call", "arguments", …}; payload: Arrow IPC streams of the rows, or a request body
    RESULT = 3  # payload: one Arrow IPC stream with a part of a query's answer, the first one with no rows
    RESULT_END = 4  # header: {} or {"error"}
    REPLY = 5  # header: {"error"} or a result; payload: the pickled value of a cache get
    STOP = 6  # leave
    # worker → server
    LOADED = 21
    LOG = 22  # header: {"lines": [[level, text], …]}
    QUERY = 23  # header: {"sql", "params", "database"}; answered by RESULT… RESULT_END
    WRITE = 24  # header: {"parts", "no_sync"}; payload: as of DONE, to be written at once; answered by REPLY
    CACHE = 25  # header: {"op", "key", "global", "ttl", "version"}; payload: a pickled value; answered by REPLY
    DONE = 26  # header: {"parts", "response", "dropped"}; payload: everything the run wants written, its response
    FAILED = 27  # header: {"reason", "error", "traceback", "dropped"}


class ProtocolViolation(Exception):
    """The other side sent something that is no message, or one that is out of bounds."""


class PeerGone(Exception):
    """The other side closed the socket, or died."""


@dataclass(frozen=True, slots=True)
class Message:
    kind: Kind
    header: dict[str, Any]
    payload: memoryview


class Channel:
    """One end of the socket pair. Sending and receiving may happen on different threads, each on one at a time."""

    def __init__(self, sock: socket.socket, *, max_payload: int) -> None:
        self.socket = sock
        self.max_payload = max_payload

    def send(
        self, kind: Kind, header: dict[str, Any], payload: Sequence[Buffer] = (), *, deadline: float | None = None
    ) -> None:
        """Send one message; ``deadline`` is on the monotonic clock.

        Raises PeerGone, TimeoutError, and ValueError for a header larger than MAX_HEADER.
        """
        head = json.dumps(header, separators=(",", ":")).encode()
        if len(head) > MAX_HEADER:
            raise ValueError(f"{kind.name} has a header of {len(head)} bytes; the most is {MAX_HEADER}")
        views = [memoryview(part).cast("B") for part in payload if len(part)]
        total = sum(map(len, views))
        prefix = _PREFIX.pack(MAGIC, kind, 0, len(head), total)
        queue = [memoryview(prefix + head), *views]
        try:
            while queue:
                self._arm(deadline)
                sent = self.socket.sendmsg(queue[:_MAX_BUFFERS])
                while sent:
                    if sent >= len(queue[0]):
                        sent -= len(queue.pop(0))
                    else:
                        queue[0] = queue[0][sent:]
                        sent = 0
        except TimeoutError:
            raise
        except OSError as error:
            raise PeerGone(str(error)) from error

    def receive(self, *, deadline: float | None = None) -> Message:
        """Wait for one message. Raises PeerGone, TimeoutError, ProtocolViolation."""
        magic, kind, reserved, header_length, payload_length = _PREFIX.unpack(self._exactly(_PREFIX.size, deadline))
        if magic != MAGIC or reserved:
            raise ProtocolViolation("a message does not begin with this protocol's magic and version")
        if header_length > MAX_HEADER or payload_length > self.max_payload:
            raise ProtocolViolation(
                f"a message of {header_length + payload_length} bytes is larger than the {self.max_payload} allowed"
            )
        try:
            meaning = Kind(kind)
            header = json.loads(bytes(self._exactly(header_length, deadline)))
        except (ValueError, RecursionError) as error:
            raise ProtocolViolation(f"unreadable message: {error}") from None
        if not isinstance(header, dict):
            raise ProtocolViolation("a message's header is not an object")
        return Message(meaning, header, self._exactly(payload_length, deadline))

    def wait_readable(self, seconds: float) -> bool:
        """Wait until there is something to receive, or the other side is gone; False after ``seconds``."""
        try:
            poll = select.poll()
            poll.register(self.socket, select.POLLIN)
            return bool(poll.poll(seconds * 1000))
        except (OSError, ValueError) as error:
            raise PeerGone(str(error)) from error

    def shut_down(self) -> None:
        """End both directions at once, whoever else may hold the other end; whoever waits here raises PeerGone."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.socket.close()

    def _exactly(self, length: int, deadline: float | None) -> memoryview:
        # The kernel backs a map page by page as it is filled: a length that is announced and never sent costs nothing.
        view = memoryview(mmap.mmap(-1, length)) if length > _LARGE else memoryview(bytearray(length))
        received = 0
        try:
            while received < length:
                self._arm(deadline)
                count = self.socket.recv_into(view[received:])
                if not count:
                    raise PeerGone("the socket was closed")
                received += count
        except TimeoutError:
            raise
        except OSError as error:
            raise PeerGone(str(error)) from error
        return view

    def _arm(self, deadline: float | None) -> None:
        if deadline is None:
            if self.socket.gettimeout() is not None:
                self.socket.settimeout(None)
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.socket.settimeout(left)
