"""What ``/metrics`` tells Prometheus: requests, writes and queries counted here, the rest asked of its owners.

Labels come from closed sets (methods, known paths, statuses), so that no client can make the number of
series grow.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every counter, which nobody asks for

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
ENGINE_PREFIX: Final = "/api/v3/engine/"

_LATENCY_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"})


class ServerMetrics:
    """The server's counters. Each ``note_…`` costs about a microsecond and may be called from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.paths: frozenset[str] = frozenset()
        """The paths that are told apart; all others count as one."""
        self._requests = Counter(
            "http_requests", "Requests answered.", ("method", "path", "status"), registry=self.registry
        )
        self._latency = Histogram(
            "http_request_duration_seconds",
            "Time from a request's head to the end of its answer.",
            ("path",),
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._lines = Counter("headrace_write_lines", "Lines of line protocol stored.", registry=self.registry)
        self._rejected = Counter("headrace_write_lines_rejected", "Lines refused.", registry=self.registry)
        self._bytes = Counter("headrace_write_bytes", "Bytes of line protocol read.", registry=self.registry)
        self._queries = Counter("headrace_queries", "Queries run.", ("outcome",), registry=self.registry)
        self._query_seconds = Histogram(
            "headrace_query_duration_seconds",
            "Time from a query's start to its last row.",
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.queries_running = Gauge("headrace_queries_running", "Queries under way.", registry=self.registry)

    def note_request(self, method: str, path: str, status: int, seconds: float) -> None:
        label = self._label(path)
        self._requests.labels(method if method in _METHODS else "other", label, str(status)).inc()
        self._latency.labels(label).observe(seconds)

    def note_write(self, lines: int, rejected: int, size: int) -> None:
        self._lines.inc(lines)
        self._bytes.inc(size)
        if rejected:
            self._rejected.inc(rejected)

    def note_query(self, outcome: str, seconds: float) -> None:
        """``outcome`` is "success", "error" or "cancelled"."""
        self._queries.labels(outcome).inc()
        self._query_seconds.observe(seconds)

    def exposition(self) -> bytes:
        """The page in Prometheus' text format."""
        return generate_latest(self.registry)

    def _label(self, path: str) -> str:
        if path in self.paths:
            return path
        return ENGINE_PREFIX + "{path}" if path.startswith(ENGINE_PREFIX) else "other"
