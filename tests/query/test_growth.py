from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from headrace.query.engine import QueryEngine
from headrace.query.errors import StatementRefused, StatementTooLarge
from headrace.query.growth import BATCH_ROWS, batch_rows
from headrace.query.tokens import tokenize

from tests.query.snapshot_lab import SnapshotLab


def _doubled(expression: str, times: int) -> str:
    query = "SELECT repeat('x', 10000) AS s"
    for _ in range(times):
        query = f"SELECT {expression} AS s FROM ({query})"
    return query


TOO_LARGE = {
    "replaced": "SELECT length(replace(replace(repeat('x',10000),'x',repeat('y',10000)),'y',repeat('z',10000)))",
    "by columns": "SELECT replace(s, 'x', s) FROM cpu",
    "by pattern": _doubled("regexp_replace(s, '', 'yy', 'g')", 8),
    "groups": f"SELECT regexp_match(s, '{'()' * 2000}') FROM cpu",
    "translated": "SELECT translate(s, 'x', s) FROM cpu",
    "filled": "SELECT lpad('x', 10000, s) FROM cpu",
    "quoted": """SELECT "replace"(s, 'x', s) FROM cpu""",
    "lists": "SELECT array_repeat(array_repeat(array_repeat(1, 10000), 10000), 10000)",
    "joined": "SELECT array_to_string(string_to_array(s, NULL), s) FROM cpu",
    "concat": _doubled("concat(s, s)", 14),
    "operators": _doubled("s || s", 14),
    "cases": _doubled("CASE WHEN true AND true THEN s ELSE '' END || CASE WHEN true THEN s ELSE '' END", 14),
    "in a star": _doubled("s, * REPLACE (s || s AS s)", 14),
    "in two brackets": f"SELECT * FROM (({_doubled('s || s', 14)}) UNION ALL SELECT s || s FROM cpu)",
    "scalar": _doubled("(SELECT s || s FROM cpu)", 14),
    "arrays": _doubled("[s, s]", 14),
    "structs": _doubled("struct(s, s)", 14),
    "overlay": _doubled("overlay(s PLACING s FROM 1 FOR 0)", 14),
    "conditions": "SELECT 1 FROM cpu WHERE replace(s, 'x', s) = ''",
    "many": "SELECT " + ", ".join(f"replace(repeat('x', 10000), 'x', '{at:01000}')" for at in range(100)),
}


@pytest.mark.parametrize("statement", TOO_LARGE.values(), ids=TOO_LARGE)
def test_values_that_multiply_their_size_are_refused_by_name(statement: str) -> None:
    with pytest.raises(StatementRefused, match=r"a value of [a-z_|(), ]+ could become larger than 64 MiB"):
        batch_rows(tokenize(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT s || s FROM r",
        "SELECT concat(s, s) FROM r",
        "SELECT replace(s, 'x', 'xx') FROM r",
    ],
)
def test_a_recursion_that_doubles_values_is_refused(statement: str) -> None:
    with pytest.raises(StatementRefused, match="WITH RECURSIVE"):
        batch_rows(tokenize(f"WITH RECURSIVE r AS (SELECT 'x' AS s UNION ALL {statement}) SELECT count(*) FROM r"))


@pytest.mark.parametrize(
    "call",
    [
        "array_agg(usage) OVER ()",
        "string_agg(host, ',') FILTER (WHERE usage > (1)) OVER (ORDER BY time)",
        "array_agg(usage) IGNORE NULLS OVER w",
    ],
)
def test_a_list_of_all_rows_for_each_row_is_refused(call: str) -> None:
    with pytest.raises(StatementRefused, match="OVER"):
        batch_rows(tokenize(f"SELECT {call} FROM cpu WINDOW w AS (ORDER BY time)"))


@pytest.mark.parametrize(
    "type_",
    ["'FixedSizeList(2000000000, Int64)'", "'FixedSizeList(1000, FixedSizeBinary(1000))'", "concat('Int', '64')"],
)
def test_a_null_of_a_huge_type_is_refused(type_: str) -> None:
    with pytest.raises(StatementRefused, match="fixed size"):
        batch_rows(tokenize(f"SELECT arrow_cast(NULL, {type_})"))


def test_brackets_too_deep_to_be_read_are_refused() -> None:
    with pytest.raises(StatementTooLarge, match="200 deep"):
        batch_rows(tokenize("SELECT a || " + "(" * 5_000 + "1" + ")" * 5_000))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "SELECT host || '-' || region AS k, avg(usage) FROM cpu GROUP BY k ORDER BY k",
        "SELECT concat_ws('/', host, region, s) FROM cpu WHERE host || region = 'ab' AND usage > 1 AND s = 'x'",
        r"SELECT regexp_replace(host, '^.*/(.*)$', '\1'), regexp_replace(s, '\s+', ' ', 'g') FROM cpu",
        "SELECT replace(replace(replace(s, '&', '&amp;'), '<', '&lt;'), '>', '&gt;') FROM cpu",
        "SELECT host, string_agg(s, ', ' ORDER BY time), array_agg(usage) FROM cpu GROUP BY host",
        "SELECT left(s, 3), lpad(CAST(usage AS VARCHAR), 10, '0') FROM cpu LEFT JOIN mem ON cpu.host = mem.host",
        "SELECT x[1], [1, 2], make_array(a, b), {a: 1}, arrow_cast(time, 'Timestamp(Second, None)') FROM cpu",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT [n] FROM r",
        " UNION ALL ".join(["SELECT concat(a, '-', b, '-', c) FROM cpu"] * 50),
        "SELECT to_char(time, '%Y-%m-%d'), encode(s, 'hex'), translate(s, 'abc', 'xyz') FROM cpu",
    ],
)
def test_ordinary_statements_are_computed_in_batches_of_the_usual_size(statement: str) -> None:
    assert batch_rows(tokenize(statement)) == BATCH_ROWS


def test_the_larger_the_values_the_smaller_the_batches(lab: SnapshotLab, engine: QueryEngine) -> None:
    lab.table("cpu", s="utf8").add_memory([{"s": "x" * 10, "time": at} for at in range(20_000)])
    for query, most in (
        ("SELECT repeat('x', 10000) || s AS v FROM cpu", 10_010),
        ("SELECT replace(s, 'x', repeat('y', 500)) AS v FROM cpu", 5_000),
    ):
        batches = list(engine.sql("db", query))
        assert sum(batch.num_rows for batch in batches) == 20_000
        assert max(batch.num_rows for batch in batches) * most <= 256 << 20
        assert max(len(value) for value in batches[-1]["v"].to_pylist()) == most


_CHILD = """
import os, resource, sys
from pathlib import Path
from headrace.query.engine import QueryEngine
from headrace.query.settings import QuerySettings
from headrace.wal.errors import HeadraceError
from tests.query.snapshot_lab import SnapshotLab
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
lab = SnapshotLab(Path(sys.argv[1]))
lab.table("cpu", s="utf8").add_memory([{"s": "x" * 100, "time": at} for at in range(20_000)])
engine = QueryEngine(lab, QuerySettings(memory_pool_bytes=256 << 20, memory_limit_bytes=1 << 30))
for query in sys.argv[2:]:
    try:
        print(sum(batch.num_rows for batch in engine.sql("db", query)), flush=True)
    except HeadraceError as error:
        print(type(error).__name__, flush=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, flush=True)
os._exit(0)
"""


def test_statements_that_would_take_all_memory_end_within_bounds(tmp_path: Path) -> None:
    """In a process of its own, which dies of a failure in the place of the machine."""
    statements = {
        TOO_LARGE["replaced"]: "StatementRefused",
        "SELECT replace(s, 'x', repeat('y', 500)) FROM cpu": "20000",
        "SELECT length(string_agg(repeat('x', 1000), '')) FROM range(3000000)": "MemoryExhausted",
        "SELECT array_length(array_agg(value)) FROM range(100000000)": "MemoryExhausted",
        "SELECT s, unnest(range(10000)) FROM cpu LIMIT 1000": "1000",
        "SELECT s, (SELECT array_agg(value) FROM range(100000)) FROM cpu": "MemoryExhausted",
        "SELECT count(*) FROM cpu": "1",
    }
    command = [sys.executable, "-c", _CHILD, str(tmp_path), *statements]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-2_000:]
    *outcomes, peak_mib = done.stdout.split()
    assert outcomes == list(statements.values())
    assert int(peak_mib) < 3_000
