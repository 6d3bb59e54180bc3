"""What can go wrong in the processing engine, each with the HTTP status it answers."""

from __future__ import annotations

from typing import ClassVar

from headrace.wal.errors import HeadraceError


class ProcessingError(HeadraceError):
    """Any refusal or failure of the processing engine."""


class EngineDisabled(ProcessingError):
    """The server was started without ``--plugin-dir``."""

    status: ClassVar[int] = 400

    def __init__(self) -> None:
        super().__init__("the processing engine is off: start the server with --plugin-dir to turn it on")


class InvalidTriggerSpec(ProcessingError):
    """A trigger specification that cannot be read."""

    status: ClassVar[int] = 400

    def __init__(self, text: str, context: str) -> None:
        super().__init__(f"failed to parse trigger from {text}: {context}")


class InvalidTriggerSetting(ProcessingError):
    """A trigger setting with a value out of its range."""

    status: ClassVar[int] = 400


class RequestPathTaken(ProcessingError):
    """Two enabled request triggers cannot answer on one path."""

    status: ClassVar[int] = 409


class RequestTriggerNotFound(ProcessingError):
    """No enabled request trigger answers on this path."""

    status: ClassVar[int] = 404

    def __init__(self, path: str) -> None:
        super().__init__("not found")
        self.path = path


class PluginNotFound(ProcessingError):
    """The named plugin file or directory does not exist under the plugin directory."""

    status: ClassVar[int] = 404


class PluginPathRefused(ProcessingError):
    """A plugin path that would leave the plugin directory."""

    status: ClassVar[int] = 400

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"Path traversal detected: plugin filename {path!r} attempts to access files outside the plugin "
            f"directory ({reason})"
        )


class InvalidTestInput(ProcessingError):
    """A test run cannot begin with what it was given."""

    status: ClassVar[int] = 400


class PluginTooLarge(ProcessingError):
    """An upload beyond the bounds of a plugin."""

    status: ClassVar[int] = 413


class PluginFetchFailed(ProcessingError):
    """A ``gh:`` plugin could not be fetched from the plugin repository."""

    status: ClassVar[int] = 502


class RepositoryPathRefused(ProcessingError):
    """A ``gh:`` path that is none inside the plugin repository."""

    status: ClassVar[int] = 400


class PluginInstallationDisabled(ProcessingError):
    """Uploads and ``gh:`` plugins are switched off (``--plugin-dir-only``)."""

    status: ClassVar[int] = 403

    def __init__(self) -> None:
        super().__init__(
            "plugin installation is disabled; plugins must already exist in the configured plugin directory"
        )


class PackagesDisabled(ProcessingError):
    """The package manager is ``disabled``."""

    status: ClassVar[int] = 403

    def __init__(self) -> None:
        super().__init__("package installation is disabled on this server (--package-manager disabled)")


class PackageInstallFailed(ProcessingError):
    """The package manager ended with an error; the message holds its output."""


class InvalidRequirement(PackageInstallFailed):
    """What is to be installed is not named, or not as the package manager can read it; it was not asked."""

    status: ClassVar[int] = 400


class WriteRefused(ProcessingError):
    """A synchronous write of a plugin has a line that cannot be stored; nothing of it is."""

    status: ClassVar[int] = 400


class TriggerBusy(ProcessingError):
    """Too many requests wait for one request trigger; retry later."""

    status: ClassVar[int] = 503


class RunFailed(ProcessingError):
    """A plugin run that did not finish as it should. ``outcome`` is the word that goes into the runs table."""

    outcome: ClassVar[str] = "error"


class PluginRaised(RunFailed):
    """The plugin raised; the message is the exception, ``traceback`` the plugin's own lines."""

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback


class PluginLoadFailed(PluginRaised):
    """The plugin could not be imported."""


class PluginUnavailable(PluginLoadFailed):
    """The plugin could not be found or fetched: nothing of it has run, and another try may find it."""


class MissingEntryPoint(RunFailed):
    """The plugin does not define the function that its trigger calls."""


class WorkerCrashed(RunFailed):
    """The worker process ended in the middle of a run."""

    outcome: ClassVar[str] = "crashed"


class WorkerProtocolError(WorkerCrashed):
    """The worker sent something that is not a message; it is killed."""


class TimeLimitExceeded(RunFailed):
    """The run took longer than its trigger's time limit; the worker was killed."""

    outcome: ClassVar[str] = "timeout"


class MemoryLimitExceeded(RunFailed):
    """The worker and its children held more memory than the trigger's limit; they were killed."""

    outcome: ClassVar[str] = "out of memory"


class ProcessLimitExceeded(RunFailed):
    """The plugin started more processes than the trigger may; they were killed."""

    outcome: ClassVar[str] = "too many processes"


class OutputLimitExceeded(RunFailed):
    """The plugin asked to write more in one run than the engine takes."""


class RunCancelled(RunFailed):
    """The trigger was disabled or deleted, or the server is shutting down."""

    outcome: ClassVar[str] = "cancelled"
