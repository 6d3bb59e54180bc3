"""Trigger specifications: what makes a trigger fire, and when.

The text forms are those of InfluxDB 3: ``table:NAME``, ``all_tables``, ``every:DURATION``, ``cron:EXPRESSION``
and ``request:PATH``. Everything here is a pure function of its arguments: there is no clock inside, so a
schedule can be asked about any moment.

Durations follow the grammar of Rust's ``humantime`` crate (the peer's): numbers with a unit, in any order and
with or without spaces (``1h 30m``), where ``M`` is a month of 30.44 days and ``y`` a year of 365.25 days.
``every`` fires at multiples of the duration since the Unix epoch, ``cron`` in UTC. A cron expression has
six fields, seconds first (and may have a seventh, the year), or the five classic ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from croniter import croniter
from croniter.croniter import CroniterError
from headrace.processing.errors import InvalidTriggerSpec

NANOSECONDS = 1_000_000_000
_DAY = 86_400 * NANOSECONDS
_YEAR = 31_557_600 * NANOSECONDS
_MONTH = 2_630_016 * NANOSECONDS

_UNITS: dict[str, int] = {
    **dict.fromkeys(("ns", "nsec"), 1),
    **dict.fromkeys(("us", "usec", "µs"), 1_000),
    **dict.fromkeys(("ms", "msec"), 1_000_000),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), NANOSECONDS),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60 * NANOSECONDS),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600 * NANOSECONDS),
    **dict.fromkeys(("d", "day", "days"), _DAY),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), 7 * _DAY),
    **dict.fromkeys(("M", "month", "months"), _MONTH),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), _YEAR),
}
_PART = re.compile(r"\s*([0-9]+)\s*([A-Za-zµ]+)\s*")

SHORTEST_PERIOD_NS = 1_000_000
LONGEST_PERIOD_NS = _YEAR

_FORMS = "'table:<TABLE_NAME>', 'all_tables', 'cron:<CRON_EXPRESSION>', 'every:<DURATION>', or 'request:<PATH>'"


class TriggerKind(StrEnum):
    """Which of the three entry points a trigger calls."""

    WAL = "wal"
    SCHEDULE = "schedule"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class TableSpec:
    """Fires with the rows written to one table."""

    table: str
    kind = TriggerKind.WAL

    def __str__(self) -> str:
        return f"table:{self.table}"

    def as_json(self) -> Any:
        return {"single_table_wal_write": {"table_name": self.table}}


@dataclass(frozen=True, slots=True)
class AllTablesSpec:
    """Fires with the rows written to any table of the trigger's database."""

    kind = TriggerKind.WAL

    def __str__(self) -> str:
        return "all_tables"

    def as_json(self) -> Any:
        return "all_tables_wal_write"


@dataclass(frozen=True, slots=True)
class EverySpec:
    """Fires at every multiple of ``period_ns`` since the Unix epoch."""

    period_ns: int
    text: str
    kind = TriggerKind.SCHEDULE

    def __str__(self) -> str:
        return f"every:{self.text}"

    def as_json(self) -> Any:
        secs, nanos = divmod(self.period_ns, NANOSECONDS)
        return {"every": {"duration": {"secs": secs, "nanos": nanos}}}

    def next_fire(self, after_ns: int) -> int:
        """The first fire time strictly after ``after_ns`` (nanoseconds since the epoch)."""
        return (after_ns // self.period_ns + 1) * self.period_ns

    def missed_between(self, after_ns: int, until_ns: int) -> int:
        """How many fire times lie in ``(after_ns, until_ns)``; the bound ``until_ns`` is left out."""
        return max(0, (until_ns - 1) // self.period_ns - after_ns // self.period_ns)


@dataclass(frozen=True, slots=True)
class CronSpec:
    """Fires when the UTC wall clock matches ``expression``."""

    expression: str
    kind = TriggerKind.SCHEDULE

    def __str__(self) -> str:
        return f"cron:{self.expression}"

    def as_json(self) -> Any:
        return {"schedule": {"schedule": self.expression}}

    def next_fire(self, after_ns: int) -> int:
        """The first fire time strictly after ``after_ns`` (nanoseconds since the epoch)."""
        start = datetime.fromtimestamp(after_ns // NANOSECONDS, UTC)
        found = croniter(self.expression, start, second_at_beginning=True).get_next(datetime)
        return int(found.timestamp()) * NANOSECONDS

    def missed_between(self, after_ns: int, until_ns: int, limit: int = 1_000) -> int:
        """How many fire times lie in ``(after_ns, until_ns)``, counted up to ``limit``."""
        count, at = 0, after_ns
        while count < limit and (at := self.next_fire(at)) < until_ns:
            count += 1
        return count


@dataclass(frozen=True, slots=True)
class RequestSpec:
    """Fires on a request to ``/api/v3/engine/PATH``."""

    path: str
    kind = TriggerKind.REQUEST

    def __str__(self) -> str:
        return f"request:{self.path}"

    def as_json(self) -> Any:
        return {"request_path": {"path": self.path}}


TriggerSpec = TableSpec | AllTablesSpec | EverySpec | CronSpec | RequestSpec
ScheduleSpec = EverySpec | CronSpec


def parse_spec(text: str) -> TriggerSpec:
    """Read a trigger specification; raises :class:`InvalidTriggerSpec` with the form that was expected."""
    text = text.strip()
    if text == "all_tables":
        return AllTablesSpec()
    kind, colon, value = text.partition(":")
    value = value.strip()
    if colon:
        match kind:
            case "table":
                if not value:
                    raise InvalidTriggerSpec(text, "table name is empty")
                return TableSpec(value)
            case "every":
                return EverySpec(_period(text, value), value)
            case "cron":
                return parse_cron(value, text)
            case "request":
                return RequestSpec(_request_path(text, value))
    raise InvalidTriggerSpec(text, f"expect one of the following forms: {_FORMS}")


def parse_cron(expression: str, text: str | None = None) -> CronSpec:
    """Read a cron expression of five, six (seconds first) or seven fields (year last)."""
    text = text if text is not None else f"cron:{expression}"
    expression = " ".join(expression.split())
    fields = expression.count(" ") + 1 if expression else 0
    if fields not in (5, 6, 7):
        raise InvalidTriggerSpec(
            text, f"a cron expression has 6 fields (second minute hour day month weekday) or 5, not {fields}"
        )
    spec = CronSpec(expression)
    try:
        spec.next_fire(0)
    except CroniterError as error:
        raise InvalidTriggerSpec(text, str(error)) from error
    return spec


def parse_duration(text: str) -> int:
    """Nanoseconds in a duration such as ``10s``, ``1h30m`` or ``2 weeks``; raises ValueError."""
    position, total = 0, 0
    while match := _PART.match(text, position):
        number, unit = match.groups()
        if unit not in _UNITS:
            raise ValueError(f"unknown time unit {unit!r}; use s, m, h, d, w, M or y")
        total += int(number) * _UNITS[unit]
        position = match.end()
    if not position or position != len(text):
        raise ValueError(f"{text!r} is not a duration; write a number and a unit, such as 10s or 1h30m")
    return total


def _period(text: str, value: str) -> int:
    try:
        period = parse_duration(value)
    except ValueError as error:
        raise InvalidTriggerSpec(text, f"couldn't parse to duration: {error}") from None
    if period > LONGEST_PERIOD_NS:
        raise InvalidTriggerSpec(text, "don't support every schedules of over 1 year")
    if period < SHORTEST_PERIOD_NS:
        raise InvalidTriggerSpec(text, "the shortest period is 1ms")
    return period


def _request_path(text: str, value: str) -> str:
    """Paths are compared as they stand after ``/api/v3/engine/``, so a leading slash would never match."""
    path = value.lstrip("/")
    if not path:
        raise InvalidTriggerSpec(text, "the request path is empty")
    if any(character in path for character in "?#") or any(ord(character) < 0x21 for character in path):
        raise InvalidTriggerSpec(text, "a request path holds no '?', '#', spaces or control characters")
    return path
