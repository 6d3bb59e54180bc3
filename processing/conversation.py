"""The server's side of the talk with a worker: answers what it asks until the run is over.

Everything that arrives was made by a process that runs somebody else's code. Each header field is looked at before
it is used; what does not fit is a :class:`~headrace.processing.protocol.ProtocolViolation`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
from headrace.processing.arrow_stream import arrow_stream
from headrace.processing.cache import CacheScope
from headrace.processing.protocol import Kind, Message, PeerGone, ProtocolViolation
from headrace.processing.run import LogLevel, RunLimits, WorkerServices
from headrace.processing.worker_process import WorkerProcess
from headrace.processing.written import count_rows, decode_parts
from headrace.wal.errors import HeadraceError

logger = logging.getLogger(__name__)

_SLICE_S: Final = 0.25
"""How long to wait for a message before looking whether the worker still lives and has printed something."""
_MESSAGE_S: Final = 60.0
"""How long one message may take from its first byte to its last."""

_UNHURRIED_LINES: Final = 100
"""Lines of a run that are logged as fast as they come; from then on there is a pause after every few."""
_BREATH_LINES: Final = 10
_BREATH_S: Final = 0.002


class RunLogBook:
    """Hands a run's log lines to the engine, up to the run's bounds, and counts the rest."""

    def __init__(self, log: Callable[[LogLevel, str], None], limits: RunLimits) -> None:
        self._log = log
        self._lines_left = limits.log_lines
        self._bytes_left = limits.log_bytes
        self.logged = 0
        self.dropped = 0

    def add(self, level: LogLevel, text: str) -> None:
        """Log a line if there is room for it."""
        if not text.isascii():
            text = presentable(text)
        if self._lines_left <= 0 or len(text) > self._bytes_left:
            self.dropped += 1
            return
        self._lines_left -= 1
        self._bytes_left -= len(text)
        self.logged += 1
        self._log(level, text)
        if self.logged > _UNHURRIED_LINES and self.logged % _BREATH_LINES == 0:
            time.sleep(_BREATH_S)  # a flood of lines must not keep the interpreter from those who write rows

    def finish(self) -> None:
        """Say how many lines are missing, if any are."""
        if self.dropped:
            self._log("WARN", f"{self.dropped} log lines of this run were dropped: it logged more than a run may")


def presentable(text: str) -> str:
    """The text without the lone surrogates that JSON lets through and UTF-8 does not know."""
    return text.encode(errors="replace").decode()


class Conversation:
    """One run's (or one load's) messages."""

    def __init__(
        self, process: WorkerProcess, services: WorkerServices, database: str, scope: CacheScope, book: RunLogBook
    ) -> None:
        self._process = process
        self._services = services
        self._database = database
        self._scope = scope
        self._book = book
        self._log_messages = 0
        self.rows_written = 0
        """Lines and rows of synchronous writes."""
        self._answers = {
            Kind.LOG: self._log,
            Kind.QUERY: self._query,
            Kind.WRITE: self._write,
            Kind.CACHE: self._cache,
        }

    def send(self, kind: Kind, header: dict[str, Any], payload: Sequence[Any] = ()) -> None:
        """Send a message. Raises PeerGone, and ProtocolViolation if the worker does not read it."""
        try:
            self._process.channel.send(kind, header, payload, deadline=time.monotonic() + _MESSAGE_S)
        except TimeoutError:
            raise ProtocolViolation(f"the worker did not read a message within {_MESSAGE_S:.0f} s") from None

    def until(self, *ends: Kind) -> Message:
        """Serve the worker until it sends one of ``ends``. Raises PeerGone, ProtocolViolation."""
        while True:
            message = self._next()
            if message.kind in ends:
                self.log_printed()
                return message
            answer = self._answers.get(message.kind)
            if answer is None:
                raise ProtocolViolation(f"a worker does not send {message.kind.name} here")
            answer(message)

    def log_printed(self, *, all_of_it: bool = False) -> None:
        """Log what came out of the worker's pipes so far."""
        lines, dropped = self._process.printed.take(all_of_it=all_of_it)
        self._book.dropped += dropped
        for level, text in lines:
            self._book.add(level, text)

    def _next(self) -> Message:
        channel = self._process.channel
        while not channel.wait_readable(_SLICE_S):
            self.log_printed()
            # Children of a dead worker may hold its socket open: the end of the stream would never come.
            if self._process.has_ended():
                raise PeerGone("the worker has ended")
        try:
            return channel.receive(deadline=time.monotonic() + _MESSAGE_S)
        except TimeoutError:
            raise ProtocolViolation(f"the worker did not end a message within {_MESSAGE_S:.0f} s") from None

    def _log(self, message: Message) -> None:
        self._log_messages += 1
        if self._log_messages > self._process.limits.log_lines:
            raise ProtocolViolation("a worker keeps to the bounds of its log")
        match message.header:
            case {"lines": [[("INFO" | "WARN" | "ERROR") as level, str(text)]]}:
                self.log_printed()
                self._book.add(level, text)
            case _:
                raise ProtocolViolation("not a log line")

    def _query(self, message: Message) -> None:
        match message.header:
            case {"sql": str(sql), "params": (dict() | None) as params, "database": str(database)}:
                pass
            case _:
                raise ProtocolViolation("not a query")
        try:
            answer = self._services.query(sql, params, database, self._seconds_left())
        except Exception as error:
            self.send(Kind.RESULT_END, {"error": _for_plugin(error)})
            return
        try:
            end: dict[str, Any] = {}
            try:
                for part in _streams(answer.schema, answer.batches):
                    self.send(Kind.RESULT, {}, [part])
            except (PeerGone, ProtocolViolation):
                raise
            except Exception as error:
                end = {"error": _for_plugin(error)}
            self.send(Kind.RESULT_END, end)
        finally:
            answer.close()

    def _write(self, message: Message) -> None:
        header: dict[str, Any] = {}
        parts, rest = decode_parts(message.header.get("parts"), message.payload)
        if rest:
            raise ProtocolViolation("more was sent than is to be written")
        try:
            self._services.write_now(parts, no_sync=message.header.get("no_sync") is True)
            self.rows_written += count_rows(parts)
        except Exception as error:
            header = {"error": _for_plugin(error)}
        self.send(Kind.REPLY, header)

    def _cache(self, message: Message) -> None:
        match message.header:
            case {"op": str(op), "key": str(key), "global": bool(shared), "version": int(version)}:
                ttl = message.header.get("ttl")
            case _:
                raise ProtocolViolation("not a use of the cache")
        if ttl is not None and not isinstance(ttl, (int, float)):
            raise ProtocolViolation("a ttl is a number")
        cache, scope = self._services.cache, self._scope
        header: dict[str, Any] = {}
        payload: list[Any] = []
        try:
            match op:
                case "get":
                    entry = cache.get(scope, key, use_global=shared)
                    if entry is not None:
                        header = {"version": entry.version}
                        payload = [] if entry.version == version else [entry.value]
                case "put":
                    value = bytes(message.payload)
                    header = {"version": cache.put(scope, key, value, ttl_s=ttl, use_global=shared)}
                case "update":
                    value = bytes(message.payload)
                    moved = cache.update(scope, key, value, version=version, use_global=shared)
                    header = {"version": moved}
                case "delete":
                    header = {"found": cache.delete(scope, key, use_global=shared)}
                case _:
                    raise ProtocolViolation("not a use of the cache")
        except ValueError as error:
            header = {"error": str(error)}
        self.send(Kind.REPLY, header, payload)

    def _seconds_left(self) -> float | None:
        deadline = self._process.deadline
        return None if deadline is None else max(0.001, deadline - time.monotonic())


def _streams(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Buffer]:
    """One Arrow IPC stream with the schema alone, then one a batch."""
    yield arrow_stream(schema)
    for batch in batches:
        if batch.num_rows:
            yield arrow_stream(schema, batch)


def _for_plugin(error: Exception) -> str:
    """The error's text as the plugin's exception shows it; what is not meant for users goes to the server's log."""
    if isinstance(error, HeadraceError):
        return error.message
    logger.error("a plugin's call failed inside the server", exc_info=error)
    return f"internal error: {type(error).__name__}: {error}"
