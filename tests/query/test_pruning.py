from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from headrace.query.bounds import EVERYTHING, Bounds
from headrace.query.engine import QueryEngine
from headrace.storage.snapshot import DataFile
from hypothesis import given
from hypothesis import strategies as st

from tests.query.snapshot_lab import SnapshotLab

HOUR = 3_600_000_000_000
START = 1_640_995_200_000_000_000
"""2022-01-01T00:00:00Z"""


@pytest.fixture
def day(lab: SnapshotLab) -> SnapshotLab:
    """A file an hour of 2022-01-01: hosts a and b in even hours, c and d in odd ones."""
    table = lab.table("cpu", host="tag", usage="float64", state="utf8")
    for hour in range(24):
        hosts = "ab" if hour % 2 == 0 else "cd"
        table.add_file(
            [
                {"host": host, "usage": float(hour), "state": "ok", "time": START + hour * HOUR + minute * HOUR // 60}
                for host in hosts
                for minute in range(0, 60, 10)
            ]
        )
    return lab


@pytest.mark.parametrize(
    ("condition", "files"),
    [
        ("true", 24),
        ("time >= '2022-01-01T22:00:00Z'", 2),
        ("time > '2022-01-01T22:50:00Z'", 1),
        ("time >= '2022-01-01T22:50:00'", 2),
        ("time < '2022-01-01T02:00:00'", 2),
        ("time <= '2022-01-01T02:00:00'", 3),
        ("'2022-01-01T22:00:00' <= time", 2),
        ("time = '2022-01-01T05:10:00'", 1),
        ("time IN ('2022-01-01T05:10:00', '2022-01-01T06:10:00')", 2),
        ("time BETWEEN '2022-01-01T03:00:00' AND '2022-01-01T05:00:00'", 3),
        ("time BETWEEN to_timestamp('2022-01-01T03:00:00') AND TIMESTAMP '2022-01-01T05:00:00' + INTERVAL '1 hour'", 4),
        ("time >= to_timestamp_seconds(1641074400)", 2),
        ("time >= DATE '2022-01-01' + INTERVAL '1 day'", 0),
        ("time >= CAST('2022-01-01T22:00:00' AS TIMESTAMP)", 2),
        ("CAST(time AS BIGINT) >= 1641074400000000000", 2),
        ("time >= '2022-01-01T23:00:00+01:00'", 2),
        ("time > '2022-01-02'", 0),
        ("time > now() - INTERVAL '1 hour'", 0),
        ("time < now()", 24),
        ("host = 'a'", 12),
        ("host = 'a' AND time >= '2022-01-01T22:00:00'", 1),
        ("host IN ('c', 'd')", 12),
        ("host IN ('a', 'd')", 24),
        ("host = 'zzz'", 0),
        ("host = 'a' OR host = 'b'", 12),
        ("host = 'a' OR time >= '2022-01-01T23:00:00'", 24),
        ("host = 'a' AND (usage > 3 OR time >= '2022-01-01T22:00:00')", 12),
        ("usage = 3", 24),
        ("state = 'ok'", 24),
        ("NOT (time < '2022-01-01T22:00:00')", 2),
    ],
)
def test_a_condition_opens_only_the_files_that_can_hold_its_rows(
    condition: str, files: int, day: SnapshotLab, engine: QueryEngine
) -> None:
    result = engine.sql("db", f"SELECT count(*) AS n FROM cpu WHERE {condition}")
    assert result.files == files
    everywhere = engine.sql("db", f"SELECT count(*) AS n FROM (SELECT *, random() FROM cpu) WHERE {condition}")
    assert result.read_all() == everywhere.read_all()


def test_the_last_hour_of_a_thousand_files_opens_six(lab: SnapshotLab, engine: QueryEngine) -> None:
    table = lab.table("cpu", host="tag", usage="float64")
    for at in range(1_000):
        table.add_file([{"host": "a", "usage": 1.0, "time": START + at * HOUR // 6}])
    end = START + 1_000 * HOUR // 6
    query = "SELECT avg(usage) AS mean FROM cpu WHERE time >= to_timestamp_nanos($from)"
    assert engine.sql("db", query, {"from": end - HOUR}).files == 6


def test_the_scans_of_a_table_are_taken_together(day: SnapshotLab, engine: QueryEngine) -> None:
    early, late = "time < '2022-01-01T01:00:00'", "time >= '2022-01-01T23:00:00'"
    union = f"SELECT usage FROM cpu WHERE {early} UNION ALL SELECT usage FROM cpu WHERE {late}"
    result = engine.sql("db", union)
    assert result.read_all().num_rows == 24
    subquery = f"SELECT count(*) AS n FROM cpu WHERE {late} AND usage > (SELECT avg(usage) FROM cpu)"
    assert engine.sql("db", subquery).files == 24
    bounded = f"SELECT count(*) AS n FROM cpu WHERE {late} AND usage > (SELECT avg(usage) FROM cpu WHERE {late})"
    assert engine.sql("db", bounded).files == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT (SELECT max(usage) FROM cpu) AS m, usage FROM cpu WHERE time >= '2022-01-01T23:00:00' LIMIT 1",
        "SELECT max(usage) AS m FROM cpu WHERE host IN (SELECT host FROM cpu WHERE usage = 23) "
        "AND EXISTS (SELECT 1 FROM cpu WHERE usage = 0)",
        "WITH c AS (SELECT * FROM cpu WHERE time >= '2022-01-01T23:00:00') SELECT max(usage) AS m FROM c",
        "SELECT CASE WHEN (SELECT count(*) FROM cpu) > 200 THEN 23.0 END AS m",
    ],
)
def test_subqueries_see_all_of_their_rows(statement: str, day: SnapshotLab, engine: QueryEngine) -> None:
    assert engine.sql("db", statement).read_all()["m"].to_pylist() == [23.0]


def test_rows_of_now_are_found_with_a_bound_of_now(lab: SnapshotLab, engine: QueryEngine) -> None:
    table = lab.table("cpu", usage="float64")
    now = int(datetime.now(UTC).timestamp() * 1e9)
    table.add_file([{"usage": 1.0, "time": now}])
    query = "SELECT * FROM cpu WHERE time BETWEEN now() - INTERVAL '1 minute' AND now() + INTERVAL '1 minute'"
    assert engine.sql("db", query).read_all().num_rows == 1


def test_a_condition_on_a_string_field_never_leaves_out_a_file(lab: SnapshotLab, engine: QueryEngine) -> None:
    table = lab.table("cpu", host="tag", state="utf8", usage="float64")
    table.add_file([{"host": "a", "usage": 1.0, "time": 1}], ["host", "usage", "time"])
    table.add_file([{"host": "a", "state": "ok", "time": 1}], ["host", "state", "time"])
    result = engine.sql("db", "SELECT usage, state FROM cpu WHERE state = 'ok'").read_all()
    assert result.to_pylist() == [{"usage": 1.0, "state": "ok"}]


# The arithmetic

_BOUND = st.builds(
    Bounds,
    st.none() | st.integers(0, 9),
    st.none() | st.integers(0, 9),
    st.dictionaries(st.sampled_from("xy"), st.frozensets(st.sampled_from("abc"), max_size=3), max_size=2),
)


def _admits(bounds: Bounds, time: int, tags: dict[str, str]) -> bool:
    return bounds.meets(time, time) and all(tags[name] in values for name, values in bounds.tags.items())


@given(_BOUND, _BOUND, st.integers(0, 9), st.fixed_dictionaries(dict.fromkeys("xy", st.sampled_from("abc"))))
def test_and_is_exact_and_or_never_loses_a_row(one: Bounds, other: Bounds, time: int, tags: dict[str, Any]) -> None:
    both = _admits(one, time, tags) and _admits(other, time, tags)
    assert _admits(one.also(other), time, tags) == both
    if _admits(one, time, tags) or _admits(other, time, tags):
        assert _admits(one.either(other), time, tags)
    assert _admits(EVERYTHING, time, tags)


@given(_BOUND, st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abc"), st.sampled_from("abc")), min_size=1))
def test_a_file_with_a_wanted_row_is_never_left_out(bounds: Bounds, rows: list[tuple[int, str, str]]) -> None:
    times = [row[0] for row in rows]
    ranges = {name: (min(r[at] for r in rows), max(r[at] for r in rows)) for at, name in ((1, "x"), (2, "y"))}
    file = DataFile("f", 1, len(rows), min(times), max(times), 1, frozenset({"x", "y", "time"}), ranges)
    if any(_admits(bounds, time, {"x": x, "y": y}) for time, x, y in rows):
        assert bounds.meets_file(file)
