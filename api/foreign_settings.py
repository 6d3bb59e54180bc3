"""Settings of InfluxDB 3 that this server does not have, and why.

``IGNORED`` ones are accepted, so that a start script of InfluxDB 3 works as it is; the log says that they
do nothing. ``REFUSED`` ones ask for something the server would have to pretend, so it does not start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.api.setting import InvalidSetting


@dataclass(frozen=True, slots=True)
class ForeignSetting:
    """An option of InfluxDB 3 Core or Enterprise, and what to say about it."""

    name: str
    reason: str
    flag: bool = False

    @property
    def variable(self) -> str:
        return f"INFLUXDB3_{self.name.upper().replace('-', '_')}"


_TELEMETRY = "this server sends nothing home"
_CACHE = "the operating system's page cache serves Parquet files"
_WAL = "the write-ahead log is bounded by --wal-segment-size, --wal-queue-size and the persist settings"
_FILES = "queries are pruned by the manifest and may open any number of files"
_STORE = "this server keeps its files in --data-dir; use --object-store file or memory"
_CLUSTER = "this server is a single node"

IGNORED: Final[tuple[ForeignSetting, ...]] = (
    ForeignSetting("disable-telemetry-upload", _TELEMETRY, flag=True),
    ForeignSetting("telemetry-endpoint", _TELEMETRY),
    ForeignSetting("serve-invocation-method", _TELEMETRY),
    ForeignSetting("parquet-mem-cache-size", _CACHE),
    ForeignSetting("file-cache-size", _CACHE),
    ForeignSetting("parquet-mem-cache-prune-percentage", _CACHE),
    ForeignSetting("parquet-mem-cache-prune-interval", _CACHE),
    ForeignSetting("parquet-mem-cache-query-path-duration", _CACHE),
    ForeignSetting("file-cache-recency", _CACHE),
    ForeignSetting("disable-parquet-mem-cache", _CACHE, flag=True),
    ForeignSetting("disable-file-cache", _CACHE, flag=True),
    ForeignSetting("table-index-cache-max-entries", _FILES),
    ForeignSetting("table-index-cache-concurrency-limit", _FILES),
    ForeignSetting("query-file-limit", _FILES),
    ForeignSetting("gen1-lookback-duration", _FILES),
    ForeignSetting("checkpoint-interval", _FILES),
    ForeignSetting("wal-snapshot-size", _WAL),
    ForeignSetting("wal-files-per-snapshot", _WAL),
    ForeignSetting("wal-max-write-buffer-size", _WAL),
    ForeignSetting("wal-max-buffered-writes", _WAL),
    ForeignSetting("snapshotted-wal-files-to-keep", _WAL),
    ForeignSetting("wal-replay-concurrency-limit", _WAL),
    ForeignSetting("snapshot-concurrency-limit", _WAL),
    ForeignSetting("wal-replay-fail-on-error", "a damaged log always stops the start, unless --wal-salvage", flag=True),
    ForeignSetting("delete-grace-period", "deleted names leave the catalog together with their files"),
    ForeignSetting("last-cache-eviction-interval", "there are no caches to evict from"),
    ForeignSetting("distinct-cache-eviction-interval", "there are no caches to evict from"),
    ForeignSetting("log-format", "log lines have one format"),
    ForeignSetting("disable-log-filter-noise-reduction", "log filters are taken as they are", flag=True),
    ForeignSetting("num-io-threads", "the event loop is one thread; parsing and queries use every processor"),
)

REFUSED: Final[tuple[ForeignSetting, ...]] = (
    ForeignSetting("cluster-id", _CLUSTER),
    ForeignSetting("mode", _CLUSTER),
    ForeignSetting("bucket", _STORE),
    ForeignSetting("aws-access-key-id", _STORE),
    ForeignSetting("aws-secret-access-key", _STORE),
    ForeignSetting("aws-endpoint", _STORE),
    ForeignSetting("google-service-account", _STORE),
    ForeignSetting("azure-storage-account", _STORE),
)


def remarks_on(names: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """One line for each ignored setting among option ``names`` and variables.

    Raises InvalidSetting for a refused option, and for one that is not known at all.
    """
    ignored = {foreign.name: foreign for foreign in IGNORED}
    refused = {foreign.name: foreign for foreign in REFUSED}
    remarks = []
    for name in names:
        if name in refused:
            raise InvalidSetting(f"--{name} cannot be used: {refused[name].reason}")
        if name not in ignored:
            raise InvalidSetting(f"--{name} is not an option")
        remarks.append(f"--{name} does nothing here: {ignored[name].reason}")
    remarks.extend(
        f"{foreign.variable} does nothing here: {foreign.reason}"
        for foreign in IGNORED
        if foreign.name not in names and environment.get(foreign.variable)
    )
    return tuple(remarks)
