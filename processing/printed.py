"""What native code and child processes of a plugin print: bytes from its two output pipes, kept within bounds.

The watcher thread feeds it, the thread of the run takes whole lines out. Whatever is beyond the bounds is counted
and forgotten, so that a gigabyte of output costs the server no more than reading it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from headrace.processing.run import LogLevel

MAX_LINE: Final = 64 << 10
STREAMS: Final[tuple[LogLevel, LogLevel]] = ("INFO", "WARN")
"""The log level of a line on standard output and on standard error."""


class PrintedOutput:
    """Lines waiting to be logged."""

    def __init__(self, max_lines: int, max_bytes: int) -> None:
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._lines: list[tuple[LogLevel, str]] = []
        # Of this run, taken or not: what is beyond is not even cut into lines.
        self._kept = 0
        self._bytes = 0
        self._dropped = 0
        self._unfinished = [b"", b""]

    def feed(self, stream: int, data: bytes) -> None:
        """Take what was read from standard output (0) or standard error (1); ``b""`` is its end."""
        with self._lock:
            if self.is_full:
                self._dropped += data.count(b"\n")
                self._unfinished[stream] = b""
                return
            *lines, rest = (self._unfinished[stream] + data).split(b"\n")
            if rest and (not data or len(rest) > MAX_LINE):
                lines.append(rest)
                rest = b""
            self._unfinished[stream] = rest
            for line in lines:
                if self.is_full:
                    self._dropped += 1
                else:
                    self._lines.append((STREAMS[stream], line[:MAX_LINE].decode(errors="replace")))
                    self._kept += 1
                    self._bytes += len(line)

    def take(self, *, all_of_it: bool = False) -> tuple[Sequence[tuple[LogLevel, str]], int]:
        """The whole lines since the last call, and how many more there were.

        With ``all_of_it``, at the end of a run, the unfinished ones too; then the bounds begin anew.
        """
        if not self._lines and not self._dropped and not all_of_it:
            return (), 0
        with self._lock:
            lines, self._lines = self._lines, []
            dropped, self._dropped = self._dropped, 0
            if all_of_it:
                self._kept = self._bytes = 0
                for stream, rest in enumerate(self._unfinished):
                    if rest:
                        lines.append((STREAMS[stream], rest.decode(errors="replace")))
                self._unfinished = [b"", b""]
            return lines, dropped

    @property
    def is_full(self) -> bool:
        """Whether more is only counted."""
        return self._kept >= self._max_lines or self._bytes >= self._max_bytes
