"""What is asked of a plugin worker and what comes back: the values that engine and supervisor exchange.

A :class:`WorkerSpec` says which plugin a worker runs and within which limits; each :class:`RunRequest` is one
call of it, answered by one :class:`RunOutcome`. While a run is under way, the plugin's queries, synchronous
writes, log lines and cache calls reach the engine through :class:`WorkerServices`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import pyarrow as pa
from headrace.processing.cache import CacheScope, PluginCache
from headrace.processing.environment import Interpreter
from headrace.processing.errors import RunFailed
from headrace.processing.specs import TriggerKind
from headrace.storage.ingest import WritePart

LogLevel = Literal["INFO", "WARN", "ERROR"]
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What one run may use. Whoever exceeds one is stopped, with the error named here."""

    time_s: float | None = 300.0
    """Wall-clock seconds from the start of the run (TimeLimitExceeded). None: no limit."""
    memory_bytes: int = 1024 * MIB
    """Resident memory of the worker with all its descendants (MemoryLimitExceeded)."""
    processes: int = 64
    """Processes at one time, the worker included (ProcessLimitExceeded)."""
    output_bytes: int = 256 * MIB
    """Everything a run hands back to be written or answered (OutputLimitExceeded)."""
    log_lines: int = 10_000
    """Log lines kept a run, printed ones included; what is beyond is counted, not kept."""
    log_bytes: int = 4 * MIB
    """Bytes of log text kept a run."""
    file_bytes: int = 4096 * MIB
    """The largest file the plugin may write (RLIMIT_FSIZE); the write beyond fails in the plugin."""
    start_s: float = 60.0
    """Seconds the interpreter may take to start and to import the plugin; they do not count as run time."""
    grace_s: float = 1.0
    """Seconds between KeyboardInterrupt in the plugin and the end of its processes, on cancel and timeout."""


@dataclass(frozen=True, slots=True)
class PluginFile:
    """A plugin in the plugin directory: a file, or a directory with ``__init__.py``."""

    path: str
    """Relative to the plugin directory, as the trigger has it."""


@dataclass(frozen=True, slots=True)
class FetchedSource:
    """A plugin fetched from the plugin repository."""

    name: str
    """As the trigger has it (``gh:examples/x.py``); names the file in tracebacks."""
    text: str


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """Everything a worker is, for as long as it lives."""

    trigger: str
    """For messages only."""
    database: str
    """What ``write`` and ``query`` act on unless told otherwise."""
    kind: TriggerKind
    plugin: PluginFile | FetchedSource
    plugin_dir: Path
    interpreter: Callable[[], Interpreter]
    """Asked before every run: a worker of an older generation, or of another executable, is replaced first."""
    cache: CacheScope
    """Which entries of the cache the plugin sees."""
    limits: RunLimits = RunLimits()


@dataclass(frozen=True, slots=True)
class WalCall:
    """``process_writes`` (or ``process_batches``, where the plugin has it) with committed rows."""

    kind: ClassVar[TriggerKind] = TriggerKind.WAL
    batches: Sequence[tuple[str, pa.RecordBatch]]
    """Table name and rows, in the order in which the plugin sees them. A table may occur more than once."""


@dataclass(frozen=True, slots=True)
class ScheduledCall:
    """``process_scheduled_call`` with the fire time."""

    kind: ClassVar[TriggerKind] = TriggerKind.SCHEDULE
    call_time_ns: int
    """Since the Unix epoch; the plugin gets a naive local datetime of whole seconds, as at InfluxDB 3."""


@dataclass(frozen=True, slots=True)
class RequestCall:
    """``process_request`` with the parts of an HTTP request."""

    kind: ClassVar[TriggerKind] = TriggerKind.REQUEST
    query_parameters: Mapping[str, str]
    headers: Mapping[str, str]
    """As the plugin shall see them: names in lower case, no ``authorization``."""
    body: bytes


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One call of the plugin."""

    call: WalCall | ScheduledCall | RequestCall
    arguments: Mapping[str, str] | None
    """The trigger's arguments; the plugin sees None when there are none."""

    @property
    def kind(self) -> TriggerKind:
        return self.call.kind


@dataclass(frozen=True, slots=True)
class PluginResponse:
    """The HTTP answer of a request plugin."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended. ``writes`` are to be committed only if ``error`` is None."""

    error: RunFailed | None
    traceback: str = ""
    """The plugin's own lines, where it raised or was interrupted."""
    writes: tuple[WritePart, ...] = ()
    """In order of first use, one part a database for lines and one for each written table of columns."""
    response: PluginResponse | None = None
    """Of a request plugin that returned."""
    log_lines: int = 0
    """How many log lines reached ``services.log``."""
    log_lines_dropped: int = 0
    started_ns: int = 0
    """Since the Unix epoch; starting the worker, where that was needed, comes before."""
    duration_s: float = 0.0
    """From the moment the worker was ready to the moment it had answered."""
    rows_in: int = 0
    rows_out: int = 0
    """Lines and rows in ``writes`` and in synchronous writes."""
    peak_memory_bytes: int = 0
    """The most the worker and its descendants held, sampled; 0 if the worker never came up."""

    @property
    def outcome(self) -> str:
        """``success``, or the word of the error."""
        return "success" if self.error is None else self.error.outcome


class QueryAnswer(Protocol):
    """A query's answer as it streams; ``headrace.query.engine.QueryResult`` is one."""

    @property
    def schema(self) -> pa.Schema: ...

    @property
    def batches(self) -> Iterator[pa.RecordBatch]: ...

    def close(self) -> None:
        """Cancel what has not been read."""


class WorkerServices(Protocol):
    """What the engine does for a running plugin. Called on the thread that called ``Worker.run``.

    ``query`` and ``write_now`` raise HeadraceError for whatever the plugin shall see as an exception.
    """

    @property
    def cache(self) -> PluginCache: ...

    def log(self, level: LogLevel, text: str) -> None: ...

    def query(
        self, sql: str, params: Mapping[str, object] | None, database: str, timeout_s: float | None
    ) -> QueryAnswer: ...

    def write_now(self, parts: Sequence[WritePart], *, no_sync: bool) -> None: ...
