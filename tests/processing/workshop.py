"""What the tests of the plugin workers share: a worker with recorded services, and a look at what it leaves behind."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from headrace.processing.cache import CacheScope, PluginCache
from headrace.processing.environment import Interpreter
from headrace.processing.errors import ProcessingError
from headrace.processing.run import (
    FetchedSource,
    PluginFile,
    RequestCall,
    RunLimits,
    RunOutcome,
    RunRequest,
    ScheduledCall,
    WalCall,
    WorkerSpec,
)
from headrace.processing.specs import TriggerKind
from headrace.processing.supervisor import Worker
from headrace.storage.ingest import WritePart

THIS_INTERPRETER = Interpreter(Path(sys.executable), (), 0)
HOME = pa.record_batch(
    {
        "room": pa.array(["Kitchen", "Hall", None]).dictionary_encode(),
        "temp": pa.array([21.5, None, 19.0]),
        "time": pa.array([1, 2, 3], pa.timestamp("ns")),
    }
)


class QueryFailed(ProcessingError):
    """What the recorded services answer to the query ``fail``."""


@dataclass
class Answer:
    """A query's answer made of batches at hand."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    closed: bool = False

    def close(self) -> None:
        self.closed = True


@dataclass
class RecordedServices:
    """Services that keep what a plugin did. ``SELECT`` answers ``HOME``, ``large`` 64 MB, ``fail`` with an error."""

    cache: PluginCache = field(default_factory=PluginCache)
    logged: list[tuple[str, str]] = field(default_factory=list)
    queries: list[tuple[str, Mapping[str, object] | None, str]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    written: list[tuple[Sequence[WritePart], bool]] = field(default_factory=list)

    def log(self, level: str, text: str) -> None:
        self.logged.append((level, text))

    def query(self, sql: str, params: Mapping[str, object] | None, database: str, timeout_s: float | None) -> Answer:
        self.queries.append((sql, params, database))
        if sql == "fail":
            raise QueryFailed("no such table")
        if sql == "empty":
            batches: list[pa.RecordBatch] = []
        elif sql == "large":
            batches = [pa.record_batch({"v": pa.array(range(1 << 20), pa.int64())})] * 8
        else:
            batches = [HOME, HOME.slice(1, 1)]
        answer = Answer(batches[0].schema if batches else HOME.schema, iter(batches))
        self.answers.append(answer)
        return answer

    def write_now(self, parts: Sequence[WritePart], *, no_sync: bool) -> None:
        if any(part.database == "refused" for part in parts):
            raise QueryFailed("this database takes nothing")
        self.written.append((parts, no_sync))

    def texts(self, level: str | None = None) -> list[str]:
        return [text for each, text in self.logged if level in (None, each)]


@dataclass
class Workshop:
    """A plugin directory, services, and the workers made of them."""

    plugin_dir: Path
    services: RecordedServices = field(default_factory=RecordedServices)
    workers: list[Worker] = field(default_factory=list)

    def write(self, source: str, path: str = "plugin.py") -> Path:
        """Put a plugin's file into the directory."""
        target = self.plugin_dir / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(source))
        return target

    def worker(
        self,
        kind: TriggerKind,
        plugin: PluginFile | FetchedSource | None = None,
        limits: RunLimits | None = None,
        *,
        interpreter: Callable[[], Interpreter] = lambda: THIS_INTERPRETER,
        scope: CacheScope | None = None,
    ) -> Worker:
        spec = WorkerSpec(
            trigger="t",
            database="db",
            kind=kind,
            plugin=plugin or PluginFile("plugin.py"),
            plugin_dir=self.plugin_dir,
            interpreter=interpreter,
            cache=scope or CacheScope.for_trigger(1),
            limits=limits or RunLimits(time_s=20.0),
        )
        self.workers.append(Worker(spec, self.services))
        return self.workers[-1]

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()


def on_schedule(arguments: Mapping[str, str] | None = None, at_ns: int = 0) -> RunRequest:
    return RunRequest(ScheduledCall(at_ns), arguments)


def on_rows(*batches: tuple[str, pa.RecordBatch], arguments: Mapping[str, str] | None = None) -> RunRequest:
    return RunRequest(WalCall(batches or [("home", HOME)]), arguments)


def on_request(body: bytes = b"", **query_parameters: str) -> RunRequest:
    return RunRequest(RequestCall(query_parameters, {"content-type": "text/plain"}, body), None)


def must(outcome: RunOutcome) -> RunOutcome:
    """The outcome of a run that is expected to succeed."""
    assert outcome.error is None, f"{outcome.error!r}\n{outcome.traceback}"
    return outcome


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Poll until the condition holds; fails after ``seconds``."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def marked_processes() -> list[int]:
    """Every living process that was started by, or for, a worker of this test process."""
    found = []
    for name in os.listdir("/proc"):
        try:
            environment = Path("/proc", name, "environ").read_bytes() if name.isdigit() else b""
        except OSError:
            continue
        if b"HEADRACE_WORKER=" in environment and f"HEADRACE_TEST={os.getpid()}".encode() in environment:
            found.append(int(name))
    return found


def zombie_children() -> list[int]:
    """Children of this process that have ended and were not waited for."""
    found = []
    for name in os.listdir("/proc"):
        try:
            line = Path("/proc", name, "stat").read_bytes() if name.isdigit() else b""
        except OSError:
            continue
        fields = line[line.rfind(b")") + 2 :].split()
        if fields[:1] == [b"Z"] and int(fields[1]) == os.getpid():
            found.append(int(name))
    return found
