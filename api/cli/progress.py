"""What ``write`` tells on standard error: a bar on a terminal, one closing line everywhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

from headrace.api.cli.quantities import format_elapsed, format_size

BAR_WIDTH = 30
REDRAW_S = 0.1


@dataclass(slots=True)
class Progress:
    """Counts what was acknowledged. ``total`` is the size of the input in bytes where it is known."""

    total: int | None
    quiet: bool = False
    requests: int = 0
    size: int = 0
    lines: int = 0
    started: float = field(default_factory=time.monotonic)
    _drawn: float = 0.0

    def add(self, chunk: bytes) -> None:
        """Count one acknowledged request and redraw the bar when it is due."""
        self.requests += 1
        self.size += len(chunk)
        self.lines += chunk.count(b"\n") + (not chunk.endswith(b"\n"))
        now = time.monotonic()
        if not self.quiet and sys.stderr.isatty() and now - self._drawn >= REDRAW_S:
            self._drawn = now
            print(f"\r\x1b[2K  {self.bar()}{self.report()}", end="", file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Print the closing line."""
        if self.quiet:
            return
        lead = "\r\x1b[2K" if sys.stderr.isatty() else ""
        print(f"{lead}  {self.report()}", file=sys.stderr)

    def bar(self) -> str:
        if not self.total:
            return ""
        done = min(1.0, self.size / self.total)
        filled = round(done * BAR_WIDTH)
        return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {done:4.0%} "

    def report(self) -> str:
        """Counts and rates so far, in the form of InfluxDB 3's ``write``."""
        if self.requests == 0:
            return "no data written"
        elapsed = max(time.monotonic() - self.started, 1e-9)
        word = "request" if self.requests == 1 else "requests"
        return (
            f"{format_elapsed(elapsed)}: {self.requests} {word} ({self.requests / elapsed:.2f} requests/sec), "
            f"{self.lines} lines ({self.lines / elapsed:.0f} lines/s), "
            f"{format_size(self.size)} ({format_size(self.size / elapsed)}/s)"
        )
