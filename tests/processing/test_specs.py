from __future__ import annotations

from datetime import UTC, datetime

import pytest
from headrace.processing.errors import InvalidTriggerSpec
from headrace.processing.specs import (
    NANOSECONDS,
    AllTablesSpec,
    CronSpec,
    EverySpec,
    RequestSpec,
    TableSpec,
    TriggerKind,
    parse_duration,
    parse_spec,
)
from hypothesis import given
from hypothesis import strategies as st


def _ns(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * NANOSECONDS  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "spec", "kind"),
    [
        ("table:home", TableSpec("home"), TriggerKind.WAL),
        ("table: a b ", TableSpec("a b"), TriggerKind.WAL),
        ("all_tables", AllTablesSpec(), TriggerKind.WAL),
        ("every:10s", EverySpec(10 * NANOSECONDS, "10s"), TriggerKind.SCHEDULE),
        ("every:1h30m", EverySpec(5400 * NANOSECONDS, "1h30m"), TriggerKind.SCHEDULE),
        ("cron:0 0 6 * * *", CronSpec("0 0 6 * * *"), TriggerKind.SCHEDULE),
        ("cron:*/5 * * * *", CronSpec("*/5 * * * *"), TriggerKind.SCHEDULE),
        ("request:hooks/alerts", RequestSpec("hooks/alerts"), TriggerKind.REQUEST),
        ("request:/hooks", RequestSpec("hooks"), TriggerKind.REQUEST),
    ],
)
def test_every_form_is_read(text: str, spec: object, kind: TriggerKind) -> None:
    parsed = parse_spec(text)
    assert parsed == spec
    assert parsed.kind is kind
    assert parse_spec(str(parsed)) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "", "table:", "tables:x", "every:", "every:ten", "every:5", "every:2y", "every:1us", "cron:", "cron:* *",
        "cron:99 * * * * *", "request:", "request:/", "request:a b", "request:a?b", "all_tables:x",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_the_text_it_had(text: str) -> None:
    with pytest.raises(InvalidTriggerSpec) as refused:
        parse_spec(text)
    assert text in str(refused.value)


@given(st.integers(1, 400), st.integers(0, 1 << 61))
def test_every_fires_at_multiples_of_its_period_strictly_later(seconds: int, after: int) -> None:
    spec = EverySpec(seconds * NANOSECONDS, f"{seconds}s")
    fire = spec.next_fire(after)
    assert fire > after
    assert fire % spec.period_ns == 0
    assert fire - after <= spec.period_ns


@given(st.integers(0, 1_000), st.integers(0, 1_000))
def test_missed_fire_times_are_counted_as_a_loop_would(after: int, length: int) -> None:
    spec = EverySpec(7, "7ns")
    until = after + length
    assert spec.missed_between(after, until) == len([at for at in range(after + 1, until) if at % 7 == 0])


def test_six_cron_fields_begin_with_seconds_and_five_with_minutes() -> None:
    noon = _ns(2026, 3, 1, 12, 0, 0)
    assert parse_spec("cron:30 * * * * *").next_fire(noon) == noon + 30 * NANOSECONDS  # type: ignore[union-attr]
    assert parse_spec("cron:30 * * * *").next_fire(noon) == noon + 1800 * NANOSECONDS  # type: ignore[union-attr]
    assert parse_spec("cron:0 0 6 * * *").next_fire(noon) == _ns(2026, 3, 2, 6, 0, 0)  # type: ignore[union-attr]


def test_durations_add_up_in_any_order_with_or_without_spaces() -> None:
    assert parse_duration("1h 30m") == parse_duration("30m1h") == 5400 * NANOSECONDS
    assert parse_duration("2 weeks") == 14 * 86_400 * NANOSECONDS
    for bad in ("", "h", "5", "5x", "5s-"):
        with pytest.raises(ValueError):
            parse_duration(bad)
