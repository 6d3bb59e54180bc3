"""Runs a trigger's plugin in a worker process and says how each run ended.

A :class:`Worker` starts its process when the first run comes, keeps it warm, and replaces it when the plugin's
source or the plugin environment has changed, or when it died. Whatever a plugin does ends as a
:class:`~headrace.processing.run.RunOutcome`: it may raise, hang, crash, leak, flood or lie to the server.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from headrace.processing.arrow_stream import arrow_stream
from headrace.processing.conversation import Conversation, RunLogBook, presentable
from headrace.processing.environment import Interpreter
from headrace.processing.errors import (
    MissingEntryPoint,
    OutputLimitExceeded,
    PluginLoadFailed,
    PluginNotFound,
    PluginPathRefused,
    PluginRaised,
    PluginUnavailable,
    RunCancelled,
    RunFailed,
    TimeLimitExceeded,
    WorkerCrashed,
    WorkerProtocolError,
)
from headrace.processing.plugin_paths import SourceState, plugin_file, source_state
from headrace.processing.process_family import resident_bytes
from headrace.processing.protocol import Kind, Message, PeerGone, ProtocolViolation
from headrace.processing.run import (
    FetchedSource,
    PluginResponse,
    RequestCall,
    RunOutcome,
    RunRequest,
    ScheduledCall,
    WalCall,
    WorkerServices,
    WorkerSpec,
)
from headrace.processing.watcher import shared_watcher
from headrace.processing.worker_process import WorkerProcess
from headrace.processing.written import count_rows, decode_parts, decode_response
from headrace.storage.ingest import WritePart

_NANOSECONDS: Final = 1_000_000_000
_MISSED_DEADLINE: Final = "the plugin did not come to an end by the deadline of this run and was stopped"
_DYING_S: Final = 0.5
"""How long a process may take from closing its socket to being dead."""


@dataclass(frozen=True, slots=True)
class _Identity:
    """What a running process was started from; as soon as it would be different now, the process is replaced."""

    interpreter: Interpreter
    entry: Path | None
    source: SourceState | None


@dataclass(slots=True)
class _Progress:
    """What a run has come to so far, however it ends."""

    book: RunLogBook
    started_ns: int = field(default_factory=time.time_ns)
    started: float = field(default_factory=time.monotonic)
    rows_written: int = 0
    peak_bytes: int = 0
    traceback: str = ""


class Worker:
    """One plugin, one process, one run at a time."""

    def __init__(self, spec: WorkerSpec, services: WorkerServices) -> None:
        self.spec = spec
        self._services = services
        self._running = threading.Lock()
        self._state = threading.Lock()
        self._process: WorkerProcess | None = None
        self._identity: _Identity | None = None
        self._cancelled = False

    @property
    def pid(self) -> int | None:
        """The process id of the worker, while it has a process."""
        process = self._process
        return process.pid if process is not None else None

    def run(self, request: RunRequest, *, deadline: float | None = None) -> RunOutcome:
        """Call the plugin and wait for it. Never raises for anything that a plugin, its files or its process do.

        The run ends at the trigger's time limit or at ``deadline`` (on the monotonic clock), whichever is first.
        A second call on another thread waits for the first.
        """
        with self._running:
            progress = _Progress(RunLogBook(self._services.log, self.spec.limits))
            try:
                process = self._ready(deadline, progress)
                writes, response = self._run(process, request, deadline, progress)
                error = None
            except RunFailed as failure:
                writes, response = (), None
                error = failure
            progress.book.finish()
            return RunOutcome(
                error=error,
                traceback=progress.traceback,
                writes=writes,
                response=response,
                log_lines=progress.book.logged,
                log_lines_dropped=progress.book.dropped,
                started_ns=progress.started_ns,
                duration_s=time.monotonic() - progress.started,
                rows_in=_rows_in(request),
                rows_out=progress.rows_written + count_rows(writes),
                peak_memory_bytes=progress.peak_bytes,
            )

    def cancel(self) -> None:
        """Interrupt the run under way, if there is one, and refuse all later ones (RunCancelled). Does not wait."""
        with self._state:
            self._cancelled = True
            if self._process is not None and self._process.active:
                self._process.stop_run(_cancelled(), at_once=False)

    def stop(self) -> None:
        """Cancel, wait for the end of the run under way, and end the process with all it started."""
        self.cancel()
        with self._running:
            self._discard(politely=True)

    # Everything below runs on the thread that holds self._running.

    def _ready(self, deadline: float | None, progress: _Progress) -> WorkerProcess:
        """The warm process, or a new one with the plugin loaded. Raises RunFailed."""
        identity = self._current_identity()
        if self._process is not None:
            if identity == self._identity and not self._process.has_ended():
                return self._process
            self._discard(politely=True)
        if self._cancelled:
            raise _cancelled()
        process = WorkerProcess(identity.interpreter, self.spec.plugin_dir, self.spec.limits)
        shared_watcher().add(process)
        with self._state:
            self._process, self._identity = process, identity
        self._load(process, identity, deadline, progress)
        return process

    def _load(self, process: WorkerProcess, identity: _Identity, deadline: float | None, progress: _Progress) -> None:
        limits = self.spec.limits
        until = time.monotonic() + limits.start_s
        overdue = TimeLimitExceeded(f"the plugin took longer than {limits.start_s:g} s to load and was stopped")
        header = {
            "kind": str(self.spec.kind),
            "database": self.spec.database,
            "plugin_dir": str(self.spec.plugin_dir.resolve()),
            "log_lines": limits.log_lines,
            "log_bytes": limits.log_bytes,
            "output_bytes": limits.output_bytes,
            "file_bytes": limits.file_bytes,
        }
        if isinstance(self.spec.plugin, FetchedSource):
            header |= {"name": self.spec.plugin.name, "source": self.spec.plugin.text}
        else:
            header |= {"path": str(identity.entry)}
        if deadline is not None and deadline < until:
            until, overdue = deadline, TimeLimitExceeded(_MISSED_DEADLINE)
        with self._plugin_code(process, until, overdue, progress) as conversation:
            conversation.send(Kind.LOAD, header)
            message = conversation.until(Kind.LOADED, Kind.FAILED)
            if (failure := _failure(message, process, progress, while_loading=True)) is not None:
                self._discard()
                raise failure
        progress.started_ns, progress.started = time.time_ns(), time.monotonic()

    def _run(
        self, process: WorkerProcess, request: RunRequest, deadline: float | None, progress: _Progress
    ) -> tuple[tuple[WritePart, ...], PluginResponse | None]:
        overdue = TimeLimitExceeded(_MISSED_DEADLINE)
        limit = self.spec.limits.time_s
        if limit is not None and (deadline is None or progress.started + limit < deadline):
            deadline = progress.started + limit
            overdue = TimeLimitExceeded(f"the plugin ran longer than its limit of {limit:g} s and was stopped")
        header, payload = _encode(request)
        with self._plugin_code(process, deadline, overdue, progress) as conversation:
            conversation.send(Kind.RUN, header, payload)
            message = conversation.until(Kind.DONE, Kind.FAILED)
            if (failure := _failure(message, process, progress)) is not None:
                raise failure
            parts, rest = decode_parts(message.header.get("parts"), message.payload)
            response = decode_response(message.header.get("response"), rest)
            if (response is None) == isinstance(request.call, RequestCall):
                raise ProtocolViolation("requests, and nothing else, are answered with a response")
            return parts, response

    @contextmanager
    def _plugin_code(
        self, process: WorkerProcess, deadline: float | None, overdue: TimeLimitExceeded, progress: _Progress
    ) -> Iterator[Conversation]:
        """The plugin's code runs in here, within its limits; whatever ends the worker ends the run, with its error."""
        conversation = Conversation(process, self._services, self.spec.database, self.spec.cache, progress.book)
        with self._state:
            if self._cancelled:
                raise _cancelled()
            process.begin(deadline, overdue)
        try:
            yield conversation
        except PeerGone:
            raise self._post_mortem(process, conversation) from None
        except ProtocolViolation as violation:
            self._discard()
            conversation.log_printed(all_of_it=True)
            message = f"the plugin's process broke the protocol with the server and was killed: {violation}"
            raise process.verdict or WorkerProtocolError(message) from None
        except RunFailed:
            if process.verdict is not None:
                self._discard()
            raise
        except BaseException:
            self._discard()
            raise
        finally:
            process.saw_memory(resident_bytes(process.pid) if self._process is process else 0)
            process.end()
            progress.rows_written += conversation.rows_written
            progress.peak_bytes = max(progress.peak_bytes, process.peak_bytes)

    def _post_mortem(self, process: WorkerProcess, conversation: Conversation) -> RunFailed:
        """What to say about a worker that has gone, which is buried."""
        until = time.monotonic() + _DYING_S
        while not (ended := process.has_ended()) and time.monotonic() < until:
            time.sleep(0.002)
        self._discard()
        conversation.log_printed(all_of_it=True)
        if process.verdict is not None:
            return process.verdict
        if not ended:
            return WorkerCrashed("the plugin's process closed its connection to the server in the middle of a run")
        return WorkerCrashed(f"the plugin's process {process.how_it_ended()} in the middle of a run")

    def _current_identity(self) -> _Identity:
        interpreter = self.spec.interpreter()
        if isinstance(self.spec.plugin, FetchedSource):
            return _Identity(interpreter, None, None)
        try:
            entry = plugin_file(self.spec.plugin_dir, self.spec.plugin.path)
            return _Identity(interpreter, entry, source_state(self.spec.plugin_dir, entry))
        except (PluginNotFound, PluginPathRefused) as error:
            self._discard(politely=True)
            raise PluginUnavailable(error.message) from error

    def _discard(self, *, politely: bool = False) -> None:
        with self._state:
            process, self._process, self._identity = self._process, None, None
        if process is not None:
            process.close(politely=politely)
            shared_watcher().remove(process)


def _failure(
    message: Message, process: WorkerProcess, progress: _Progress, *, while_loading: bool = False
) -> RunFailed | None:
    """The error that a run's last message stands for. Raises ProtocolViolation."""
    header = message.header
    match header.get("dropped", 0):
        case int(dropped) if dropped >= 0:
            progress.book.dropped += dropped
        case _:
            raise ProtocolViolation("not a number of lines")
    if message.kind is not Kind.FAILED:
        return process.verdict
    match header:
        case {"reason": str(reason), "error": str(error), "traceback": str(traceback)}:
            error, progress.traceback = presentable(error), presentable(traceback)
        case _:
            raise ProtocolViolation("not a failure")
    if process.verdict is not None:
        return process.verdict
    match reason:
        case "missing":
            return MissingEntryPoint(error)
        case "output":
            return OutputLimitExceeded(error)
        case _:
            kind = PluginLoadFailed if while_loading else PluginRaised
            return kind(error, progress.traceback)


def _encode(request: RunRequest) -> tuple[dict[str, Any], list[Any]]:
    """The header and payload of the RUN message."""
    header: dict[str, Any] = {"arguments": dict(request.arguments) if request.arguments else None}
    match request.call:
        case WalCall(batches):
            streams = [arrow_stream(batch.schema, batch) for _, batch in batches]
            tables = [[table, len(stream)] for (table, _), stream in zip(batches, streams, strict=True)]
            return {**header, "call": "wal", "tables": tables}, streams
        case ScheduledCall(call_time_ns):
            return {**header, "call": "schedule", "time_s": call_time_ns // _NANOSECONDS}, []
        case RequestCall(parameters, headers, body):
            parts = {"query_parameters": dict(parameters), "headers": dict(headers)}
            return {**header, "call": "request", **parts}, [body]


def _rows_in(request: RunRequest) -> int:
    if not isinstance(request.call, WalCall):
        return 0
    return sum(batch.num_rows for _, batch in request.call.batches)


def _cancelled() -> RunCancelled:
    return RunCancelled("the run was cancelled: its trigger was disabled or deleted, or the server is shutting down")
