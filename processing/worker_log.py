"""The worker's log lines: what a plugin says through ``influxdb3_local`` and what it prints.

``sys.stdout`` and ``sys.stderr`` are replaced by streams that turn every line into a log line (INFO and WARN), in
order with those of ``info``, ``warn`` and ``error``. What native code and child processes print goes to the
process's own descriptors, which the server reads separately.

Lines beyond the run's bounds are counted and dropped here, before they cost anything; the server has the same
bounds and does not rely on these.

Imported by workers: standard library only.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable

from headrace.processing.protocol import Kind
from headrace.processing.worker_link import Link

MAX_LINE = 64 << 10


class RunLog:
    """The log of one run."""

    def __init__(self, link: Link, max_lines: int, max_bytes: int) -> None:
        self._link = link
        self._lines_left = max_lines
        self._bytes_left = max_bytes
        self.dropped = 0
        """Lines that did not fit."""

    def add(self, level: str, text: str) -> None:
        """Send one line, cut to ``MAX_LINE`` characters."""
        if len(text) > MAX_LINE:
            text = f"{text[:MAX_LINE]}… ({len(text) - MAX_LINE} more characters)"
        size = len(text.encode(errors="replace"))
        if self._lines_left <= 0 or size > self._bytes_left:
            self.dropped += 1
            self._lines_left = 0  # a later, shorter line would only hide that something is missing
            return
        self._lines_left -= 1
        self._bytes_left -= size
        self._link.send(Kind.LOG, {"lines": [[level, text]]})

    @staticmethod
    def add_late(level: str, text: str) -> None:
        """Print a line that comes when the run is over; it is logged with the worker's next run."""
        os.write(1 if level == "INFO" else 2, f"{text}\n".encode(errors="replace"))


class PrintedLines(io.RawIOBase):
    """A raw stream that hands whole lines to ``sink``, or to the descriptor while there is no run."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.RLock()
        self._pending = b""
        self.sink: Callable[[str], None] | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: object, /) -> int:
        written = bytes(data)  # type: ignore[call-overload]
        with self._lock:
            if self.sink is None:
                return os.write(self._descriptor, written)
            *lines, self._pending = (self._pending + written).split(b"\n")
            for line in lines:
                self.sink(line.decode(errors="replace"))
            if len(self._pending) > MAX_LINE:
                self.finish_line()
        return len(written)

    def finish_line(self) -> None:
        """Hand over a line that has no end yet."""
        with self._lock:
            pending, self._pending = self._pending, b""
            if pending and self.sink is not None:
                self.sink(pending.decode(errors="replace"))


class PrintCapture:
    """The replacements of ``sys.stdout`` and ``sys.stderr``."""

    def __init__(self) -> None:
        self._out = PrintedLines(1)
        self._error = PrintedLines(2)
        sys.stdout = _text(self._out)
        sys.stderr = _text(self._error)
        # A fork has no link to the server; what it prints goes through the pipes.
        os.register_at_fork(after_in_child=self._detach)

    def begin(self, log: RunLog) -> None:
        """From now on printed lines belong to ``log``."""
        self._out.sink = lambda text: log.add("INFO", text)
        self._error.sink = lambda text: log.add("WARN", text)

    def end(self) -> None:
        """The run is over; what it left unfinished in a line is logged."""
        for stream, raw in ((sys.stdout, self._out), (sys.stderr, self._error)):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # the plugin closed or replaced it
                stream.flush()
            raw.finish_line()
            raw.sink = None

    def _detach(self) -> None:
        self._out.sink = self._error.sink = None


def _text(raw: PrintedLines) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True)
