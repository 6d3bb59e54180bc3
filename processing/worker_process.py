"""One worker process as the server holds it: started, spoken to, and ended for certain.

The child gets a new session, ``/dev/null`` as input, two pipes for what it prints, one end of a socket pair, and
the server's environment without its secrets. It is started by a thread that never ends, because Linux ties a
child's life (``PR_SET_PDEATHSIG``) to the thread that started it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from headrace.processing import worker_boot
from headrace.processing.environment import Interpreter
from headrace.processing.errors import RunFailed, TimeLimitExceeded, WorkerCrashed
from headrace.processing.printed import PrintedOutput
from headrace.processing.process_family import MARK, kill_family
from headrace.processing.protocol import EXIT_LINK_LOST, Channel, Kind, PeerGone
from headrace.processing.run import RunLimits

_BOOT: Final = str(Path(worker_boot.__file__).resolve())
_SECRET: Final = re.compile(r"(INFLUXDB3|HEADRACE)_\w*(TOKEN|SECRET|PASSWORD|CREDENTIAL|KEY)\w*", re.IGNORECASE)
PLUGIN_TOKEN: Final = "INFLUXDB3_AUTH_TOKEN"
_PROTOCOL_SLACK: Final = 1 << 20
PIPE_BYTES: Final = 1 << 20
"""What an output pipe holds: few readings take much in."""
_EXIT_S: Final = 5.0

# A child has the signal mask of the thread that starts it: SIGINT waits until the worker can take it, instead of
# ending the interpreter, half started, with a traceback that nobody can do anything about.
_starter = ThreadPoolExecutor(
    max_workers=1,
    thread_name_prefix="headrace-worker-start",
    initializer=signal.pthread_sigmask,
    initargs=(signal.SIG_BLOCK, {signal.SIGINT}),
)


class WorkerProcess:
    """A running worker. Its watcher and the thread that runs it share it; ``stop_run`` may come from any thread."""

    def __init__(self, interpreter: Interpreter, plugin_dir: Path, limits: RunLimits) -> None:
        """Start the process; it has yet to be told what to load. Raises WorkerCrashed if it cannot be started."""
        self.interpreter = interpreter
        self.limits = limits
        self.mark = uuid.uuid4().hex
        self.printed = PrintedOutput(limits.log_lines, limits.log_bytes)
        self._lock = threading.Lock()
        self._closed = False
        self._active = False
        self._deadline: float | None = None
        self._overdue = TimeLimitExceeded("the plugin did not come to an end and was stopped")
        self._interrupted_at: float | None = None
        self._verdict: RunFailed | None = None
        self._peak_bytes = 0
        try:
            self._popen, connection, self.output_fds = _starter.submit(self._start, plugin_dir).result()
        except (OSError, RuntimeError) as error:  # RuntimeError: the interpreter of the server is shutting down
            raise WorkerCrashed(f"the interpreter of the plugin's worker could not be started: {error}") from error
        self.channel = Channel(connection, max_payload=limits.output_bytes + _PROTOCOL_SLACK)

    @property
    def pid(self) -> int:
        return self._popen.pid

    # What the watcher needs to know

    @property
    def active(self) -> bool:
        """Whether plugin code is supposed to run now."""
        return self._active

    @property
    def deadline(self) -> float | None:
        """When what runs now has to be over, on the monotonic clock."""
        return self._deadline

    @property
    def overdue(self) -> RunFailed:
        """What is wrong once the deadline has passed."""
        return self._overdue

    @property
    def verdict(self) -> RunFailed | None:
        """Why the run was stopped, if it was."""
        return self._verdict

    @property
    def kill_due(self) -> float | None:
        """When an interrupted worker's time to come to an end is over."""
        return None if self._interrupted_at is None else self._interrupted_at + self.limits.grace_s

    @property
    def peak_bytes(self) -> int:
        """The most memory seen since ``begin``."""
        return self._peak_bytes

    def saw_memory(self, held: int) -> None:
        """Note a sample of what the worker and its descendants hold."""
        self._peak_bytes = max(self._peak_bytes, held)

    # A run's life

    def begin(self, deadline: float | None, overdue: TimeLimitExceeded) -> None:
        """Plugin code is about to run, until ``deadline`` at most; ``overdue`` is the verdict beyond it."""
        with self._lock:
            self._peak_bytes = 0
            self._overdue = overdue
            self._deadline = deadline
            self._active = True

    def end(self) -> None:
        """Plugin code has come to its end."""
        with self._lock:
            self._active = False
            self._deadline = None

    def stop_run(self, verdict: RunFailed, *, at_once: bool) -> None:
        """End what runs now, for the reason given; the first reason stays.

        Not ``at_once``: with KeyboardInterrupt first, which lets the plugin clean up and shows where it was.
        """
        with self._lock:
            if self._closed:
                return
            self._verdict = self._verdict or verdict
            if not at_once and self._interrupted_at is None:
                self._interrupted_at = time.monotonic()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGINT)
        if at_once:
            self.kill()

    def kill(self) -> None:
        """Kill the process group, now, and wake up whoever waits for the worker; ``close`` does the rest."""
        with self._lock:
            if not self._closed:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
                self.channel.shut_down()

    def has_ended(self) -> bool:
        """Whether the worker itself is dead. It stays a zombie until ``close``, so that its id stays its own."""
        if self._closed:
            return True
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def close(self, *, politely: bool = False) -> None:
        """End the process with all that belongs to it and give back everything it took.

        ``politely``: it is idle; let it run its exit handlers, for as long as the grace period is.
        """
        if self._closed:
            return
        if politely:
            until = time.monotonic() + self.limits.grace_s
            with contextlib.suppress(PeerGone, TimeoutError):
                self.channel.send(Kind.STOP, {}, deadline=until)
                while not self.has_ended() and time.monotonic() < until:
                    time.sleep(0.002)
        kill_family(self.pid, self.mark)
        with self._lock:
            self._closed = True
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(_EXIT_S)
        self.channel.close()

    def how_it_ended(self) -> str:
        """How the worker died, in words that follow "the plugin's process"."""
        status = self._popen.returncode
        if status is None:
            return "did not end"
        if status == EXIT_LINK_LOST:
            return "lost its connection to the server"
        if status >= 0:
            return f"ended with exit status {status}"
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        hint = " (by the kernel if memory ran out)" if -status == signal.SIGKILL else ""
        return f"was killed by {name}{hint}"

    def _start(self, plugin_dir: Path) -> tuple[subprocess.Popen[bytes], socket.socket, tuple[int, int]]:
        with contextlib.ExitStack() as on_failure, contextlib.ExitStack() as ends_of_the_child:
            server, worker = socket.socketpair()
            on_failure.callback(server.close)
            ends_of_the_child.callback(worker.close)
            outputs: list[int] = []
            ends: list[int] = []
            for _ in range(2):
                output, end = os.pipe()
                _widen(output)
                on_failure.callback(os.close, output)
                ends_of_the_child.callback(os.close, end)
                os.set_blocking(output, False)
                outputs.append(output)
                ends.append(end)
            command = [str(self.interpreter.executable), "-I", _BOOT, str(worker.fileno()), str(os.getpid())]
            popen = subprocess.Popen(
                [*command, *self.interpreter.fallback_paths],
                stdin=subprocess.DEVNULL,
                stdout=ends[0],
                stderr=ends[1],
                pass_fds=(worker.fileno(),),
                cwd=plugin_dir,
                env={**worker_environment(os.environ, self.interpreter, plugin_dir), MARK: self.mark},
                start_new_session=True,
            )
            on_failure.pop_all()
            return popen, server, (outputs[0], outputs[1])


def worker_environment(server: Mapping[str, str], interpreter: Interpreter, plugin_dir: Path) -> dict[str, str]:
    """The environment variables a plugin sees: the server's, as at InfluxDB 3, without what configures its secrets.

    ``INFLUXDB3_AUTH_TOKEN`` stays: no setting of the server reads it, and plugins that call a server over HTTP
    look for their token there.
    """
    environment = {
        name: value
        for name, value in server.items()
        if name == PLUGIN_TOKEN or not (_SECRET.fullmatch(name) or name.startswith("PYTHON") or name == MARK)
    }
    environment["INFLUXDB3_PLUGIN_DIR"] = environment["PLUGIN_DIR"] = str(plugin_dir)
    home = interpreter.executable.parent.parent
    if (home / "pyvenv.cfg").exists():
        environment["VIRTUAL_ENV"] = str(home)
    return environment


def _widen(pipe: int) -> None:
    # Beyond a user's share of pipe memory the kernel refuses; then it is as large as it is.
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
