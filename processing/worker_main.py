"""A worker process: loads one plugin and calls it as often as the server asks.

The process is warm: interpreter, imports and the plugin's module state stay between runs. It never outlives the
server, and whatever the plugin does to it costs nobody else anything: the server needs nothing from it but what
arrives over the socket.

Imported by workers: standard library only, and pyarrow once rows come in.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import faulthandler
import os
import resource
import signal
import socket
import sys
from datetime import datetime
from typing import Any, Final, NoReturn

from headrace.processing import loader
from headrace.processing.line_builder import LineBuilder
from headrace.processing.protocol import EXIT_LINK_LOST, Channel, Kind, Message, PeerGone
from headrace.processing.responses import response_parts
from headrace.processing.tracebacks import describe, plugin_traceback
from headrace.processing.worker_cache import WorkerCache
from headrace.processing.worker_link import Cancellation, Link
from headrace.processing.worker_local import InfluxDB3Local
from headrace.processing.worker_log import PrintCapture, RunLog
from headrace.processing.writes import OutputLimitReached

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_NICENESS: Final = 19
"""The server's acks go before plugins when there are not enough cores for both: beside a plugin that never returns the
99th percentile of writes is 3 ms, where 5 instead of 19 makes it 150 ms."""
_NO_BOUND: Final = 1 << 62


def main(descriptor: int, server_pid: int) -> None:
    """Serve the socket at ``descriptor`` until the server is done with this worker."""
    _tie_to_server(server_pid)
    os.set_inheritable(descriptor, False)
    connection = socket.socket(fileno=descriptor)
    # A fork of the plugin shall not speak on the worker's behalf.
    os.register_at_fork(after_in_child=connection.close)
    faulthandler.enable()
    builtins.LineBuilder = LineBuilder  # type: ignore[attr-defined]
    cancellation = Cancellation()
    # Blocked since before the interpreter started. Who was cancelled by now has nothing to clean up.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if cancellation.requested:
        _leave_at_once(0)
    link = Link(Channel(connection, max_payload=_NO_BOUND), cancellation)
    try:
        _Worker(link).serve()
    except PeerGone:
        _leave_at_once(EXIT_LINK_LOST)


class _Worker:
    """The loop: LOAD once, then RUN after RUN."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._pid = os.getpid()
        self._prints = PrintCapture()
        self._log = RunLog(link, 0, 0)
        self._cache = WorkerCache(link, lambda text: self._log.add("WARN", text))
        self._name = ""
        self._function: loader.EntryPoint = _Worker._nothing_loaded
        self._settings: dict[str, Any] = {}

    def serve(self) -> None:
        while True:
            message = self._link.receive()
            if message.kind is Kind.LOAD:
                self._settings = message.header
                resource.setrlimit(resource.RLIMIT_FSIZE, (self._settings["file_bytes"],) * 2)
                self._answer(self._load, message)
            elif message.kind is Kind.RUN:
                self._answer(self._run, message)
            elif message.kind is Kind.STOP:
                return

    def _answer(self, work: Any, message: Message) -> None:
        """Do the work with the plugin's code inside, and report how it ended."""
        settings = self._settings
        self._log = RunLog(self._link, settings["log_lines"], settings["log_bytes"])
        self._prints.begin(self._log)
        failure: dict[str, Any] | None = None
        kind, header, payload = Kind.FAILED, {}, []
        try:
            with self._link.cancellation.listening():
                kind, header, payload = work(message)
        except PeerGone:
            raise
        except loader.EntryPointMissing as error:
            failure = {"reason": "missing", "error": str(error), "traceback": ""}
        except OutputLimitReached as error:
            failure = {"reason": "output", "error": str(error), "traceback": self._traceback(error)}
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: the worker outlives its plugin
            failure = {"reason": "raised", "error": describe(error), "traceback": self._traceback(error)}
        if os.getpid() != self._pid:
            _leave_at_once(0)  # a fork that came back from the plugin
        self._cache_finished(failure)
        self._prints.end()
        if failure is not None:
            kind, header, payload = Kind.FAILED, failure, []
        try:
            self._link.send(kind, {**header, "dropped": self._log.dropped}, payload)
        except ValueError as error:  # hundreds of thousands of tables, or as many response headers
            failure = {"reason": "output", "error": str(error), "traceback": "", "dropped": self._log.dropped}
            self._link.send(Kind.FAILED, failure)

    def _load(self, message: Message) -> tuple[Kind, dict[str, Any], list[Any]]:
        header = message.header
        if (source := header.get("source")) is not None:
            module = loader.load_source(source, header["name"])
        else:
            module = loader.load_file(header["path"], header["plugin_dir"])
        self._name, self._function = loader.entry_point(module, header["kind"])
        if header["kind"] == "wal":
            import headrace.processing.rows  # noqa: F401  now, so that it does not count as the first run's time
        return Kind.LOADED, {}, []

    def _run(self, message: Message) -> tuple[Kind, dict[str, Any], list[Any]]:
        header, settings = message.header, self._settings
        local = InfluxDB3Local(self._link, settings["database"], self._log, self._cache, settings["output_bytes"])
        arguments = header["arguments"]
        try:
            match header["call"]:
                case "wal":
                    self._function(local, self._batches(header["tables"], message.payload), arguments)
                    response = None
                case "schedule":
                    self._function(local, datetime.fromtimestamp(header["time_s"]), arguments)
                    response = None
                case _:
                    parameters, headers = header["query_parameters"], header["headers"]
                    body = bytes(message.payload)
                    response = response_parts(self._function(local, parameters, headers, body, arguments))
        finally:
            writes = local._finish()
        if writes.overflowed:
            raise OutputLimitReached("the plugin has written more than one run may write, and ignored that it was told")
        parts, payload = writes.encode()
        payload += _body(response)
        if sum(map(len, payload)) > settings["output_bytes"]:
            raise OutputLimitReached(f"the writes and the response are larger than {settings['output_bytes']} bytes")
        return Kind.DONE, {"parts": parts, "response": _response_header(response)}, payload

    def _batches(self, tables: list[list[Any]], payload: memoryview) -> list[dict[str, Any]]:
        import pyarrow as pa
        from headrace.processing.rows import written_rows

        as_columns = loader.takes_batches(self._name)
        result: list[dict[str, Any]] = []
        start = 0
        for table, length in tables:
            with pa.ipc.open_stream(pa.py_buffer(payload[start : start + length])) as reader:
                batch = reader.read_next_batch()
            start += length
            result.append(
                {"table_name": table, "data": batch}
                if as_columns
                else {"table_name": table, "rows": written_rows(batch)}
            )
        return result

    def _cache_finished(self, failure: dict[str, Any] | None) -> None:
        try:
            self._cache.finish_run()
        except ValueError as error:
            if failure is None:
                self._log.add("WARN", f"a cached value that was changed in place is not kept: {error}")

    def _traceback(self, error: BaseException) -> str:
        return plugin_traceback(error, self._settings.get("plugin_dir"))

    @staticmethod
    def _nothing_loaded(*_: Any) -> NoReturn:
        raise RuntimeError("RUN before LOAD")


def _response_header(response: tuple[int, dict[str, str], bytes] | None) -> dict[str, Any] | None:
    if response is None:
        return None
    status, headers, body = response
    return {"status": status, "headers": headers, "length": len(body)}


def _body(response: tuple[int, dict[str, str], bytes] | None) -> list[memoryview]:
    return [] if response is None else [memoryview(response[2])]


def _tie_to_server(server_pid: int) -> None:
    """Die with the server, adopt what the plugin's processes leave behind, and step back behind the server."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != server_pid:
        _leave_at_once(1)  # it died before the line above
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(_PR_SET_NAME, b"headrace-worker", 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICENESS)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("800")
    except OSError:
        pass  # not this kernel's way; the supervisor watches memory in any case


def _leave_at_once(status: int) -> NoReturn:
    # Not sys.exit: that runs the plugin's handlers and waits for its threads.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
