from __future__ import annotations

from pathlib import Path

import pytest
from headrace.query.engine import QueryEngine
from headrace.query.errors import InvalidQuery, QueryError, StatementRefused, StatementTooLarge
from headrace.query.guard import check
from headrace.query.settings import QuerySettings
from headrace.query.tokens import tokenize

from tests.query.snapshot_lab import SnapshotLab

REFUSED = {
    "CREATE TABLE x AS SELECT 1": "CREATE TABLE",
    "create or replace view v as select 1": "CREATE OR REPLACE VIEW",
    "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'": "CREATE EXTERNAL TABLE",
    "CREATE UNBOUNDED EXTERNAL TABLE t STORED AS CSV LOCATION 'x'": "CREATE UNBOUNDED EXTERNAL TABLE",
    "DROP TABLE cpu": "DROP TABLE",
    "ALTER TABLE cpu ADD COLUMN x INT": "ALTER TABLE",
    "INSERT INTO cpu SELECT * FROM cpu": "INSERT",
    "UPDATE cpu SET usage = 1": "UPDATE",
    "DELETE FROM cpu": "DELETE",
    "TRUNCATE cpu": "TRUNCATE",
    "COPY cpu TO '/tmp/x.csv'": "COPY",
    "COPY (SELECT 1) TO '/tmp/x.parquet'": "COPY",
    "SET datafusion.execution.batch_size = 1": "SET",
    "RESET datafusion.execution.batch_size": "RESET",
    "PREPARE p AS SELECT 1": "PREPARE",
    "EXECUTE p": "EXECUTE",
    "DEALLOCATE p": "DEALLOCATE",
    "BEGIN": "BEGIN",
    "USE other": "USE",
    "INSTALL httpfs": "INSTALL",
    "/* c */ -- d\n COPY cpu TO 'x'": "COPY",
    "EXPLAIN COPY cpu TO '/tmp/x.csv'": "COPY",
    "EXPLAIN ANALYZE VERBOSE INSERT INTO cpu SELECT * FROM cpu": "INSERT",
    "SELECT * FROM parquet_metadata('/etc/passwd')": "parquet_metadata()",
    "SELECT * FROM read_csv('/etc/passwd')": "read_csv()",
    "SELECT * FROM Read_Parquet ('x')": "Read_Parquet()",
    "SELECT * FROM glob('/etc/*')": "glob()",
    "SELECT input_file_name() FROM cpu": "input_file_name()",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_would_write_or_read_files_is_refused_by_name(statement: str) -> None:
    with pytest.raises(StatementRefused, match=REFUSED[statement].replace("(", r"\(").replace(")", r"\)")) as refusal:
        check(tokenize(statement))
    assert refusal.value.status == 400


@pytest.mark.parametrize("statement", REFUSED)
def test_the_engine_refuses_them_without_the_guard_as_well(
    statement: str, engine: QueryEngine, lab: SnapshotLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.table("cpu", usage="float64")
    monkeypatch.setattr("headrace.query.guard.check", lambda tokens: None)
    with pytest.raises(QueryError):
        engine.sql("db", statement).read_all()


@pytest.mark.parametrize("statement", ["SELECT 1; SELECT 2", "SELECT 1; DROP TABLE cpu", "SELECT 1;; SELECT 2"])
def test_a_second_statement_is_refused(statement: str) -> None:
    with pytest.raises(StatementRefused, match="single SQL statement"):
        check(tokenize(statement))


@pytest.mark.parametrize("statement", ["", " ", ";", "-- only a comment", "/* */"])
def test_an_empty_statement_is_refused(statement: str) -> None:
    with pytest.raises(InvalidQuery, match="empty"):
        check(tokenize(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1;",
        "SELECT 'a; DROP TABLE x'",
        'SELECT "set" FROM "copy"',
        "(SELECT 1)",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "VALUES (1), (2)",
        "SHOW TABLES",
        "DESCRIBE cpu",
        "EXPLAIN ANALYZE SELECT 1",
        "EXPLAIN FORMAT TREE SELECT 1",
        "SELECT glob FROM cpu",
    ],
)
def test_reading_statements_pass(statement: str) -> None:
    check(tokenize(statement))


def test_a_chain_of_operators_that_would_overflow_the_stack_is_refused(engine: QueryEngine) -> None:
    for statement in (
        "SELECT 1" + "+1" * 20_000,
        "SELECT 1" + "::int" * 20_000,
        "SELECT * FROM t WHERE " + " AND ".join(["a"] * 2_000),
        " UNION ALL ".join(["SELECT 1"] * 2_000),
        "SELECT 1 FROM " + ", ".join(f"t a{at}" for at in range(2_000)),
    ):
        with pytest.raises(StatementTooLarge, match="operators"):
            engine.sql("db", statement)


def test_the_longest_chain_that_passes_is_planned(engine: QueryEngine) -> None:
    assert engine.sql("db", "SELECT 1" + "+1" * 300).read_all().to_pydict().popitem()[1] == [301]


def test_long_lists_are_no_operators() -> None:
    numbers = ", ".join(map(str, range(20_000)))
    check(tokenize(f"SELECT a, b FROM t, u WHERE x IN ({numbers})"))
    check(tokenize("SELECT " + ", ".join(f"c{at}" for at in range(3_000)) + " FROM t"))


def test_no_path_is_a_table(engine: QueryEngine) -> None:
    for path in ("/etc/passwd", "file:///etc/passwd", "s3://bucket/x.parquet", "headrace://data/x.parquet"):
        with pytest.raises(InvalidQuery, match="not found"):
            engine.sql("db", f"SELECT * FROM '{path}'")


@pytest.mark.parametrize(
    "expression",
    [
        "repeat('x', 2000000000)",
        "repeat('x', n)",
        "repeat('x', 9999 * 9999)",
        "RPAD(repeat('x', 10), 10001, 'y')",
        '"lpad" ( host , 99999999999999999999999999)',
        "array_repeat(1, 2000000000)",
        "list_resize([1, 2], 2000000000, 1)",
        "concat(a, repeat(b))",
    ],
)
def test_a_value_that_grows_without_bound_is_refused(expression: str) -> None:
    with pytest.raises(StatementRefused, match="at most 10000"):
        check(tokenize(f"SELECT {expression} FROM cpu"))


def test_a_value_may_be_repeated_a_few_times(engine: QueryEngine) -> None:
    values = "repeat('ab', 3) AS a, lpad(repeat('x', 2), 4, '-') AS b, array_repeat([1, 2], 2) AS c"
    query = f'SELECT {values}, "repeat" FROM (SELECT 1 AS "repeat")'
    rows = engine.sql("db", query).read_all().to_pylist()
    assert rows == [{"a": "ababab", "b": "--xx", "c": [[1, 2], [1, 2]], "repeat": 1}]


@pytest.mark.parametrize(
    "expression",
    [
        "range(0, 1000000000)",
        "array_length(generate_series(1, 5000000, 2))",
        "range(0, CAST(usage AS BIGINT))",
        "range(0, 10, 0 * 1)",
        "range(1, 2000000 - 1)",
        '"range" (9000000000000000000)',
        "unnest(generate_series(TIMESTAMP '2020-01-01', now(), INTERVAL '1 second'))",
    ],
)
def test_a_list_that_grows_without_bound_is_refused(expression: str) -> None:
    with pytest.raises(StatementRefused, match="at most 1000000 values"):
        check(tokenize(f"SELECT {expression} FROM cpu"))
    with pytest.raises(StatementRefused, match="at most 1000000 values"):
        check(tokenize(f"SELECT * FROM unnest({expression})"))


def test_short_lists_and_series_of_rows_are_made(engine: QueryEngine) -> None:
    lists = "range(3) AS a, range(4, 0, -2) AS b, generate_series(-1, 1) AS c"
    days = "array_length(generate_series(DATE '2020-01-01', DATE '2020-01-31', INTERVAL '1 day')) AS days"
    rows = engine.sql("db", f"SELECT {lists}, {days}").read_all().to_pylist()
    assert rows == [{"a": [0, 1, 2], "b": [4, 2], "c": [-1, 0, 1], "days": 31}]
    counted = engine.sql("db", "SELECT count(*) AS n FROM generate_series(1, 2000000) JOIN range(2) ON true").read_all()
    assert counted.to_pylist() == [{"n": 4_000_000}]


def test_the_settings_that_can_be_shown_hold_no_path(lab: SnapshotLab, tmp_path: Path) -> None:
    lab.table("cpu", usage="float64")
    engine = QueryEngine(lab, QuerySettings(spill_directory=tmp_path))
    for statement in ("SHOW ALL", "SELECT s.name, s.value FROM information_schema.df_settings s LEFT JOIN cpu ON true"):
        shown = engine.sql("db", statement).read_all()
        assert shown.num_rows > 50
        assert not [value for value in shown["value"].to_pylist() if value and "/" in value]
    engine.close()
