"""What can be chosen about the engine as a whole, and about one trigger.

A trigger's settings are stored in the catalog as the JSON object that :meth:`TriggerSettings.as_json` makes; the
first two of its keys are InfluxDB 3's, the others are ours and optional, so that its clients need not know them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from headrace.processing.environment import PackageManager
from headrace.processing.errors import InvalidTriggerSetting
from headrace.processing.run import RunLimits

_MIB: Final = 1 << 20


class ErrorBehavior(StrEnum):
    """What happens to a trigger whose run failed."""

    LOG = "log"
    """The error is logged, the run's rows count as processed."""
    RETRY = "retry"
    """The same run is tried again until it succeeds, with growing pauses; the plugin file may be mended meanwhile."""
    DISABLE = "disable"
    """The trigger is disabled before the rows of the failed run; enabling it goes on with them."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The engine's own settings; without ``plugin_dir`` it is off."""

    plugin_dir: Path | None = None
    virtual_env: Path | None = None
    package_manager: PackageManager = PackageManager.DISCOVER
    plugin_repo: str | None = None
    plugin_dir_only: bool = False
    """Refuse uploads and ``gh:`` plugins."""
    flush_interval_s: float = 1.0
    """How often WAL triggers look for new rows, aligned to multiples of the interval."""
    limits: RunLimits = field(default_factory=RunLimits)
    """What one run may use, unless the trigger says otherwise."""
    batch_bytes: int = 16 * _MIB
    """A WAL trigger gets at most about this much log in one run."""
    concurrency: int = 4
    """Runs that a trigger with ``run_asynchronous`` may have at once."""
    request_queue: int = 64
    """Requests that may wait for one request trigger; more are answered 503."""
    log_lines: int = 10_000
    """Newest log lines kept for ``system.processing_engine_logs``."""
    runs: int = 10_000
    """Newest runs kept for ``system.processing_engine_runs``."""


@dataclass(frozen=True, slots=True)
class TriggerSettings:
    """How one trigger runs. None stands for the engine's default."""

    run_async: bool = False
    error_behavior: ErrorBehavior = ErrorBehavior.LOG
    memory_limit_bytes: int | None = None
    time_limit_s: float | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> TriggerSettings:
        """Read a settings object; raises InvalidTriggerSetting with the key that is wrong."""
        value = value or {}
        unknown = set(value) - {"run_async", "error_behavior", "memory_limit", "time_limit"}
        if unknown:
            raise InvalidTriggerSetting(f"unknown trigger setting {sorted(unknown)[0]!r}")
        run_async = value.get("run_async", False)
        if not isinstance(run_async, bool):
            raise InvalidTriggerSetting(f"trigger setting 'run_async' is true or false, not {run_async!r}")
        return cls(
            run_async,
            _behavior(value.get("error_behavior", ErrorBehavior.LOG)),
            _memory_limit(value.get("memory_limit")),
            _time_limit(value.get("time_limit")),
        )

    def limits(self, default: RunLimits) -> RunLimits:
        """``default`` with what this trigger sets itself."""
        limits = default
        if self.memory_limit_bytes is not None:
            limits = replace(limits, memory_bytes=self.memory_limit_bytes)
        if self.time_limit_s is not None:
            limits = replace(limits, time_s=self.time_limit_s)
        return limits

    def as_json(self) -> dict[str, Any]:
        limits = {"memory_limit": self.memory_limit_bytes, "time_limit": self.time_limit_s}
        return {
            "run_async": self.run_async,
            "error_behavior": self.error_behavior.value,
            **{name: limit for name, limit in limits.items() if limit is not None},
        }


def _behavior(value: Any) -> ErrorBehavior:
    try:
        return ErrorBehavior(str(value).lower())
    except ValueError:
        names = ", ".join(ErrorBehavior)
        raise InvalidTriggerSetting(f"trigger setting 'error_behavior' is one of {names}, not {value!r}") from None


def _memory_limit(value: Any) -> int | None:
    # Below this an interpreter with pyarrow does not even start.
    least = 128 * _MIB
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidTriggerSetting(f"trigger setting 'memory_limit' is a number of bytes from {least} on")
    return value


def _time_limit(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86_400:
        raise InvalidTriggerSetting("trigger setting 'time_limit' is a number of seconds from above 0 to 86400")
    return float(value)
