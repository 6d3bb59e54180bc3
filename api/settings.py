"""Every setting of the server, declared once.

``serve --help``, the environment variables, the validation and ``docs/configuration.md`` are all made
from the fields of :class:`ServerSettings`. Options win over the environment, the environment over the
defaults. Names, variables and values are those of InfluxDB 3 Core where it has the setting; its
settings that mean nothing here are listed in :mod:`headrace.api.foreign_settings`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from headrace.api.foreign_settings import remarks_on
from headrace.api.quantities import Address, format_bytes, parse_address, parse_bytes, parse_megabytes, parse_seconds
from headrace.api.setting import InvalidSetting, Setting, setting, setting_of

OPEN_RESOURCES: Final[Mapping[str, tuple[str, ...]]] = {
    "health": ("/health", "/api/v1/health"),
    "ping": ("/ping",),
    "metrics": ("/metrics",),
    "ready": ("/ready",),
}
"""What ``--disable-authz`` can open, and the paths of each."""

_TRIGGER_TYPES: Final = ("wal", "schedule", "request")
_GEN1_DURATIONS: Final = (60.0, 300.0, 600.0)


def _node_id(text: str) -> str:
    if (
        not text
        or len(text) > 128
        or not all(letter.isascii() and (letter.isalnum() or letter in "-_.") for letter in text)
    ):
        raise ValueError(f"{text!r} is not a node id; use letters, digits, '-', '_' and '.', at most 128 of them")
    if text.startswith("."):
        raise ValueError(f"{text!r} is not a node id; it must not start with a dot")
    return text


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is not a number of 1 or more")
    return int(text)


def _positive_seconds(text: str) -> float:
    if (seconds := parse_seconds(text)) <= 0:
        raise ValueError(f"{text!r} must be longer than zero")
    return seconds


def _gen1(text: str) -> float:
    if (seconds := parse_seconds(text)) not in _GEN1_DURATIONS:
        raise ValueError(f"{text!r} is not supported; use 1m, 5m or 10m")
    return seconds


def _words(allowed: tuple[str, ...]) -> Any:
    def parse(text: str) -> frozenset[str]:
        words = frozenset(word.strip() for word in text.split(",") if word.strip())
        if unknown := sorted(words.difference(allowed)):
            raise ValueError(f"{unknown[0]!r} is unknown; the values are {', '.join(allowed)}, separated by commas")
        return words

    return parse


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The settings of one server. Build it with :meth:`load`, which parses and checks."""

    # General
    node_id: str = field(
        metadata=setting(
            "General",
            "Name of this node; the first folder of every path in the object store.",
            parse=_node_id,
            default="node0",
            metavar="NAME",
            env=("INFLUXDB3_NODE_IDENTIFIER_PREFIX",),
            aliases=("host-id",),
        )
    )
    node_id_from_env: str | None = field(
        metadata=setting(
            "General",
            "Take the node id from the environment variable of this name.",
            metavar="VARIABLE",
            env=("INFLUXDB3_NODE_IDENTIFIER_FROM_ENV",),
        )
    )
    object_store: str = field(
        metadata=setting(
            "General",
            "Where Parquet files and the manifest live: 'file' is the data directory, 'memory' ends with the process.",
            default="file",
            metavar="STORE",
            choices=("file", "memory"),
        )
    )
    data_dir: Path = field(
        metadata=setting(
            "General",
            "Directory of everything the server keeps. Made if absent.",
            parse=_path,
            default="~/.headrace",
            metavar="DIR",
            env=("INFLUXDB3_DB_DIR",),
        )
    )

    # HTTP
    http_bind: Address = field(
        metadata=setting(
            "HTTP",
            "Address to serve on. Port 0 takes a free one, which the log names.",
            parse=parse_address,
            default="0.0.0.0:8181",
            metavar="HOST:PORT",
            only_env=("INFLUXDB3_HTTP_BIND_ADDR", "INFLUXDB3_HTTP_BIND"),
        )
    )
    max_http_request_size: int = field(
        metadata=setting(
            "HTTP",
            "Largest body of a request, before and after decompression; a larger one is answered with 413.",
            parse=parse_bytes,
            default="10mb",
            metavar="SIZE",
        )
    )
    http_body_memory: int = field(
        metadata=setting(
            "HTTP",
            "Bound on the bodies of all requests in flight together. Beyond it a request waits, then gets 503.",
            parse=parse_bytes,
            default="256mb",
            metavar="SIZE",
        )
    )
    max_http_connections: int = field(
        metadata=setting(
            "HTTP",
            "Most connections at a time; requests on further ones get 503.",
            parse=_count,
            default="4096",
            metavar="COUNT",
        )
    )
    http_read_timeout: float = field(
        metadata=setting(
            "HTTP",
            "Longest wait for a request's head, and for each next piece of its body; then the connection is closed.",
            parse=_positive_seconds,
            default="30s",
            metavar="DURATION",
        )
    )
    http_keep_alive_timeout: float = field(
        metadata=setting(
            "HTTP",
            "How long an idle connection stays open.",
            parse=_positive_seconds,
            default="75s",
            metavar="DURATION",
        )
    )
    shutdown_timeout: float = field(
        metadata=setting(
            "HTTP",
            "How long requests that are running may take to finish when the server is asked to stop.",
            parse=_positive_seconds,
            default="30s",
            metavar="DURATION",
        )
    )
    tcp_listener_file_path: Path | None = field(
        metadata=setting(
            "HTTP",
            "Write the address the server listens on into this file.",
            parse=_path,
            metavar="FILE",
            env=("INFLUXDB3_TCP_LISTINER_FILE_PATH",),
        )
    )

    # Security
    without_auth: bool = field(
        metadata=setting(
            "Security",
            "Answer every request without asking for a token. The endpoints that make tokens are off then.",
            flag=True,
            env=("INFLUXDB3_START_WITHOUT_AUTH",),
        )
    )
    disable_authz: frozenset[str] = field(
        metadata=setting(
            "Security",
            "Resources that need no token, separated by commas: health, ping, metrics, ready.",
            parse=_words(tuple(OPEN_RESOURCES)),
            default="",
            metavar="LIST",
        )
    )
    admin_token_file: Path | None = field(
        metadata=setting(
            "Security",
            "File of an admin token made with 'create token --admin --offline'; it is taken up if its name is new.",
            parse=_path,
            metavar="FILE",
        )
    )
    admin_token_recovery_http_bind: Address | None = field(
        metadata=setting(
            "Security",
            "Serve the request that regenerates the admin token on a second address, without asking for a token; "
            "this address closes after it was used.",
            parse=parse_address,
            metavar="HOST:PORT",
            optional_value="127.0.0.1:8182",
            env=("INFLUXDB3_ADMIN_TOKEN_RECOVERY_HTTP_BIND_ADDR",),
        )
    )
    tls_cert: Path | None = field(
        metadata=setting(
            "Security", "Certificate chain (PEM); with a key, the server speaks HTTPS.", parse=_path, metavar="FILE"
        )
    )
    tls_key: Path | None = field(
        metadata=setting("Security", "Private key (PEM) of the certificate.", parse=_path, metavar="FILE")
    )
    tls_minimum_version: str = field(
        metadata=setting(
            "Security",
            "Oldest TLS version to accept.",
            default="tls-1.2",
            metavar="VERSION",
            choices=("tls-1.2", "tls-1.3"),
        )
    )

    # Logs
    log_filter: str = field(
        metadata=setting(
            "Logs",
            "Least level to log (error, warn, info, debug), and levels of single components: 'info,wal=debug'.",
            default="info",
            metavar="FILTER",
            env=("LOG_FILTER",),
        )
    )
    log_destination: str = field(
        metadata=setting(
            "Logs",
            "Where log lines go.",
            default="stdout",
            metavar="STREAM",
            choices=("stdout", "stderr"),
            env=("LOG_DESTINATION",),
        )
    )
    query_log_max_entries: int = field(
        metadata=setting(
            "Logs",
            "How many queries system.queries remembers.",
            parse=_count,
            default="1000",
            metavar="COUNT",
            aliases=("query-log-size",),
            env=("INFLUXDB3_QUERY_LOG_SIZE",),
        )
    )

    # Write-ahead log
    wal_flush_interval: float = field(
        metadata=setting(
            "Write-ahead log",
            "The tick at which WAL triggers get the rows written since. Writes do not wait for it: they are "
            "acknowledged as soon as they are on disk.",
            parse=_positive_seconds,
            default="1s",
            metavar="DURATION",
        )
    )
    wal_segment_size: int = field(
        metadata=setting(
            "Write-ahead log",
            "Size at which a segment file is closed and the next one begun.",
            parse=parse_bytes,
            default="64mb",
            metavar="SIZE",
        )
    )
    wal_queue_size: int = field(
        metadata=setting(
            "Write-ahead log",
            "Bound on writes that wait for the disk. Beyond it a write waits, then gets 503.",
            parse=parse_bytes,
            default="128mb",
            metavar="SIZE",
        )
    )
    wal_persist_size: int = field(
        metadata=setting(
            "Write-ahead log",
            "Size of the log beyond the last persist at which rows are written to Parquet: what a restart replays.",
            parse=parse_bytes,
            default="256mb",
            metavar="SIZE",
        )
    )
    wal_retention_size: int = field(
        metadata=setting(
            "Write-ahead log",
            "How much of the log is kept for WAL triggers that lag behind.",
            parse=parse_bytes,
            default="4gb",
            metavar="SIZE",
        )
    )
    disk_reserve: int | None = field(
        metadata=setting(
            "Write-ahead log",
            "Free space on the data's disk that is kept for moving rows to Parquet files: while less is free, writes "
            "get 503. Default: 256mb, or 5 % of the disk if that is less.",
            parse=parse_bytes,
            metavar="SIZE",
        )
    )
    wal_salvage: bool = field(
        metadata=setting(
            "Write-ahead log", "Start although the log is damaged: skip what cannot be read, and report it.", flag=True
        )
    )

    # Memory
    force_snapshot_mem_size: int = field(
        metadata=setting(
            "Memory",
            "Size of unpersisted rows in memory at which they are written to Parquet.",
            parse=parse_megabytes,
            default="256mb",
            metavar="SIZE",
            aliases=("force-snapshot-mem-threshold",),
            env=("INFLUXDB3_FORCE_SNAPSHOT_MEM_THRESHOLD",),
        )
    )
    write_buffer_limit: int = field(
        metadata=setting(
            "Memory",
            "Bound on the memory of rows that are in no Parquet file yet. Beyond it a write waits, then gets 503.",
            parse=parse_bytes,
            default="512mb",
            metavar="SIZE",
        )
    )
    persist_interval: float = field(
        metadata=setting(
            "Memory",
            "Age of the oldest unpersisted row at which rows are written to Parquet.",
            parse=_positive_seconds,
            default="10m",
            metavar="DURATION",
        )
    )
    exec_mem_pool_size: int = field(
        metadata=setting(
            "Memory",
            "Memory that all running queries may use together.",
            parse=parse_megabytes,
            default="20%",
            metavar="SIZE",
            aliases=("exec-mem-pool-bytes",),
            env=("INFLUXDB3_EXEC_MEM_POOL_BYTES",),
        )
    )

    # Queries
    query_timeout: float = field(
        metadata=setting(
            "Queries", "Longest run of a query; 0s is no limit.", parse=parse_seconds, default="5m", metavar="DURATION"
        )
    )
    max_concurrent_queries: int = field(
        metadata=setting(
            "Queries", "Queries that run at a time; further ones wait.", parse=_count, default="64", metavar="COUNT"
        )
    )
    datafusion_num_threads: int | None = field(
        metadata=setting(
            "Queries", "Partitions a query is split into. Default: one a processor.", parse=_count, metavar="COUNT"
        )
    )

    # Processing engine
    plugin_dir: Path | None = field(
        metadata=setting(
            "Processing engine", "Directory of the plugins; turns the processing engine on.", parse=_path, metavar="DIR"
        )
    )
    virtual_env_location: Path | None = field(
        metadata=setting(
            "Processing engine",
            "Virtual environment of the plugins. Default: .venv in the plugin directory.",
            parse=_path,
            metavar="DIR",
            only_env=("INFLUXDB3_VIRTUAL_ENV_LOCATION", "VIRTUAL_ENV"),
        )
    )
    package_manager: str = field(
        metadata=setting(
            "Processing engine",
            "What installs packages for plugins; 'disabled' refuses to install any.",
            default="discover",
            metavar="MANAGER",
            choices=("discover", "pip", "uv", "disabled"),
        )
    )
    plugin_repo: str | None = field(
        metadata=setting(
            "Processing engine",
            "HTTP address that 'gh:' plugins are fetched from. Default: the public plugin library of InfluxDB 3.",
            metavar="URL",
        )
    )
    plugin_dir_only: bool = field(
        metadata=setting(
            "Processing engine",
            "Run only plugins that are in the plugin directory: no uploads, no 'gh:' plugins.",
            flag=True,
        )
    )
    restrict_plugin_triggers_to: frozenset[str] = field(
        metadata=setting(
            "Processing engine",
            "Kinds of triggers that may be created, separated by commas: wal, schedule, request. Default: all.",
            parse=_words(_TRIGGER_TYPES),
            default="",
            metavar="LIST",
        )
    )

    # Limits
    num_database_limit: int = field(
        metadata=setting("Limits", "Most databases.", parse=_count, default="1000", metavar="COUNT")
    )
    num_table_limit: int = field(
        metadata=setting(
            "Limits", "Most tables, of all databases together.", parse=_count, default="20000", metavar="COUNT"
        )
    )
    num_total_columns_per_table_limit: int = field(
        metadata=setting(
            "Limits", "Most columns of a table, time not counted.", parse=_count, default="500", metavar="COUNT"
        )
    )
    num_tag_columns_per_table_limit: int = field(
        metadata=setting("Limits", "Most tag columns of a table.", parse=_count, default="500", metavar="COUNT")
    )
    num_trigger_limit: int = field(
        metadata=setting(
            "Limits", "Most triggers, of all databases together.", parse=_count, default="1000", metavar="COUNT"
        )
    )
    num_token_limit: int = field(
        metadata=setting("Limits", "Most tokens, expired ones included.", parse=_count, default="1000", metavar="COUNT")
    )

    # Data lifecycle
    gen1_duration: float = field(
        metadata=setting(
            "Data lifecycle",
            "Time span of the Parquet files that rows are first written to: 1m, 5m or 10m.",
            parse=_gen1,
            default="10m",
            metavar="DURATION",
        )
    )
    retention_check_interval: float = field(
        metadata=setting(
            "Data lifecycle",
            "How often rows older than their database's retention period are removed.",
            parse=_positive_seconds,
            default="1m",
            metavar="DURATION",
        )
    )
    hard_delete_default_duration: float = field(
        metadata=setting(
            "Data lifecycle",
            "How long a deleted database or table is kept before its files go, unless the request says otherwise.",
            parse=parse_seconds,
            default="72h",
            metavar="DURATION",
        )
    )

    remarks: tuple[str, ...] = ()
    """What the log should say about settings that were given and do nothing."""

    @classmethod
    def load(cls, options: Mapping[str, str], environment: Mapping[str, str] | None = None) -> ServerSettings:
        """Read settings from ``options`` (names without dashes in front, as text), then the environment, then defaults.

        Raises InvalidSetting, naming the option or the variable, for values that cannot be read or do
        not fit together.
        """
        environment = os.environ if environment is None else environment
        by_name = {name: described for described in SETTINGS for name in (described.name, *described.aliases)}
        given: dict[str, tuple[str, str]] = {}
        for name, text in options.items():
            if name in by_name:
                given[by_name[name].name] = (f"--{name}", text)
        values: dict[str, Any] = {}
        for described in SETTINGS:
            source = given.get(described.name) or described.from_environment(environment)
            if source is not None:
                values[described.attribute] = described.read(source[1], source[0])
            else:
                values[described.attribute] = (
                    None if described.default is None else described.read(described.default, "a default")
                )
        remarks = remarks_on([name for name in options if name not in by_name], environment)
        return cls(**_settled(values, given, environment), remarks=remarks)


SETTINGS: Final[tuple[Setting, ...]] = tuple(
    setting_of(declared) for declared in fields(ServerSettings) if declared.metadata
)


def _settled(values: dict[str, Any], given: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Checks between settings."""
    if (variable := values["node_id_from_env"]) is not None and "node-id" not in given:
        if not environment.get(variable):
            raise InvalidSetting(f"--node-id-from-env: the environment variable {variable} is not set")
        values["node_id"] = _node_id_of(environment[variable], variable)
    if (values["tls_cert"] is None) != (values["tls_key"] is None):
        raise InvalidSetting("--tls-cert and --tls-key go together: give both or neither")
    if values["max_http_request_size"] > values["http_body_memory"]:
        raise InvalidSetting(
            f"--max-http-request-size ({format_bytes(values['max_http_request_size'])}) must not be larger than "
            f"--http-body-memory ({format_bytes(values['http_body_memory'])})"
        )
    return values


def _node_id_of(text: str, variable: str) -> str:
    try:
        return _node_id(text)
    except ValueError as error:
        raise InvalidSetting(f"invalid value for {variable}: {error}") from None
