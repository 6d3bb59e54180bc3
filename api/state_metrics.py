"""Metrics that are read from their owners when Prometheus asks: the store's and the processing engine's."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.processing.engine import ProcessingEngine
from headrace.storage.store import Store
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_TRIGGER_LABELS = ("database", "trigger")


class StoreCollector(Collector):
    """How much the store holds, and where."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        store = self._store
        files = [file for own in store.files().values() for file in own]
        yield _gauge("headrace_wal_bytes", "Bytes of frames in the write-ahead log.", store.wal.size_bytes)
        yield _gauge("headrace_wal_sequence", "Sequence of the newest frame.", store.wal.last_sequence)
        yield _gauge("headrace_persisted_sequence", "Everything up to this is in files.", store.persisted_sequence)
        yield _gauge("headrace_buffer_bytes", "Memory of rows that are in no file yet.", store.buffer_bytes)
        yield _gauge("headrace_files", "Live Parquet files.", len(files))
        yield _gauge("headrace_file_bytes", "Bytes of live Parquet files.", sum(file.size for file in files))
        yield _gauge("headrace_file_rows", "Rows in live Parquet files.", sum(file.rows for file in files))
        failing = store.persist_failure is not None
        yield _gauge("headrace_persist_failing", "1 while persisting fails.", int(failing))


class TriggerCollector(Collector):
    """How each enabled trigger is doing."""

    def __init__(self, engine: ProcessingEngine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        runs = CounterMetricFamily("headrace_trigger_runs", "Runs of a trigger.", labels=_TRIGGER_LABELS)
        failures = CounterMetricFamily("headrace_trigger_failures", "Runs that failed.", labels=_TRIGGER_LABELS)
        seconds = CounterMetricFamily("headrace_trigger_run_seconds", "Time spent in runs.", labels=_TRIGGER_LABELS)
        rows_in = CounterMetricFamily("headrace_trigger_rows_in", "Rows given to the plugin.", labels=_TRIGGER_LABELS)
        rows_out = CounterMetricFamily("headrace_trigger_rows_out", "Rows it wrote.", labels=_TRIGGER_LABELS)
        lag = GaugeMetricFamily(
            "headrace_trigger_lag_seconds", "How long a WAL trigger has been behind.", labels=_TRIGGER_LABELS
        )
        for status in self._engine.statuses():
            labels = (status.trigger.database, status.trigger.name)
            runs.add_metric(labels, status.runs)
            failures.add_metric(labels, status.failures)
            seconds.add_metric(labels, status.run_seconds)
            rows_in.add_metric(labels, status.rows_in)
            rows_out.add_metric(labels, status.rows_out)
            if status.lag_seconds is not None:
                lag.add_metric(labels, status.lag_seconds)
        yield from (runs, failures, seconds, rows_in, rows_out, lag)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=value)
