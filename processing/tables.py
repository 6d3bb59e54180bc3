"""The engine's tables in the ``system`` schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import orjson
import pyarrow as pa
from headrace.processing.journal import LOG_SCHEMA, RUN_SCHEMA, Journal
from headrace.processing.plugin_files import FILE_SCHEMA
from headrace.processing.row_table import row_table
from headrace.processing.trigger import Trigger, TriggerStatus

TRIGGER_SCHEMA: Final = pa.schema(
    [
        pa.field("trigger_name", pa.utf8(), nullable=False),
        pa.field("plugin_filename", pa.utf8(), nullable=False),
        pa.field("trigger_specification", pa.utf8(), nullable=False),
        pa.field("disabled", pa.bool_(), nullable=False),
        pa.field("error_behavior", pa.utf8(), nullable=False),
        pa.field("run_async", pa.bool_(), nullable=False),
        pa.field("state", pa.utf8(), nullable=False),
        pa.field("arguments", pa.utf8()),
        pa.field("runs", pa.int64()),
        pa.field("failures", pa.int64()),
        pa.field("last_run", pa.timestamp("ns")),
        pa.field("last_outcome", pa.utf8()),
        pa.field("last_error", pa.utf8()),
        pa.field("next_run", pa.timestamp("ns")),
        pa.field("lag_sequences", pa.int64()),
        pa.field("lag_seconds", pa.float64()),
    ]
)
ARGUMENT_SCHEMA: Final = pa.schema(
    [
        pa.field("trigger_name", pa.utf8(), nullable=False),
        pa.field("argument_key", pa.utf8(), nullable=False),
        pa.field("argument_value", pa.utf8(), nullable=False),
    ]
)

Provider = Callable[[str], pa.Table]


def system_tables(
    journal: Journal,
    triggers: Callable[[str], Sequence[Trigger]],
    statuses: Callable[[], Mapping[int, TriggerStatus]],
    files: Callable[[], pa.Table],
) -> dict[str, tuple[pa.Schema, Provider]]:
    """Every table's schema and the function that makes it for a database.

    ``triggers`` gives a database's triggers, ``statuses`` the state of the enabled ones by id.
    """

    def trigger_table(database: str) -> pa.Table:
        known = statuses()
        return row_table(
            TRIGGER_SCHEMA, [_trigger_row(trigger, known.get(trigger.id)) for trigger in triggers(database)]
        )

    def argument_table(database: str) -> pa.Table:
        rows = [
            (trigger.name, key, value)
            for trigger in triggers(database)
            for key, value in (trigger.definition.arguments or {}).items()
        ]
        return row_table(ARGUMENT_SCHEMA, rows)

    return {
        "processing_engine_triggers": (TRIGGER_SCHEMA, trigger_table),
        "processing_engine_trigger_arguments": (ARGUMENT_SCHEMA, argument_table),
        "processing_engine_logs": (LOG_SCHEMA, journal.log_table),
        "processing_engine_runs": (RUN_SCHEMA, journal.run_table),
        "plugin_files": (FILE_SCHEMA, lambda database: files()),
    }


def _trigger_row(trigger: Trigger, status: TriggerStatus | None) -> tuple[object, ...]:
    definition = trigger.definition
    state = "disabled" if definition.disabled else "stopped" if status is None else status.state
    return (
        trigger.name,
        definition.plugin_path,
        orjson.dumps(trigger.spec.as_json()).decode(),
        definition.disabled,
        trigger.settings.error_behavior.value,
        trigger.settings.run_async,
        state,
        orjson.dumps(dict(definition.arguments)).decode() if definition.arguments else None,
        status.runs if status else None,
        status.failures if status else None,
        status.last_run_ns if status else None,
        status.last_outcome if status else None,
        status.last_error if status else None,
        status.next_run_ns if status else None,
        status.lag_sequences if status else None,
        status.lag_seconds if status else None,
    )
