"""A trigger as the engine runs it, and what can be told about it."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.processing.settings import TriggerSettings
from headrace.processing.specs import TriggerSpec, parse_spec
from headrace.storage.catalog import TriggerDefinition


@dataclass(frozen=True, slots=True)
class Trigger:
    """A catalog definition with its texts read."""

    definition: TriggerDefinition
    spec: TriggerSpec
    settings: TriggerSettings

    @classmethod
    def from_definition(cls, definition: TriggerDefinition) -> Trigger:
        """Raises InvalidTriggerSpec and InvalidTriggerSetting."""
        return cls(definition, parse_spec(definition.spec), TriggerSettings.from_json(definition.settings))

    @property
    def id(self) -> int:
        return self.definition.id

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def database(self) -> str:
        return self.definition.database


@dataclass(frozen=True, slots=True)
class TriggerStatus:
    """How an enabled trigger is doing. Times are nanoseconds since the Unix epoch, None where there is none yet."""

    trigger: Trigger
    state: str
    """``idle``, ``running``, ``retrying`` or ``stopped``."""
    runs: int
    failures: int
    rows_in: int
    rows_out: int
    run_seconds: float
    """Together, of all runs."""
    last_run_ns: int | None
    last_outcome: str | None
    last_error: str | None
    next_run_ns: int | None
    """Schedule triggers only."""
    lag_sequences: int | None
    """WAL triggers only: frames of the log that it has not looked at yet."""
    lag_seconds: float | None
    """WAL triggers only: how long it has been behind the log's end."""
