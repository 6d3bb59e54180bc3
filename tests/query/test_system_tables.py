from __future__ import annotations

import pyarrow as pa
import pytest
from headrace.query.engine import QueryEngine
from headrace.query.errors import InvalidQuery

from tests.query.snapshot_lab import SnapshotLab


def test_a_registered_table_is_served_with_the_name_of_the_database(lab: SnapshotLab, engine: QueryEngine) -> None:
    schema = pa.schema([("database", pa.utf8()), ("n", pa.int64())])
    engine.register_system_table("things", schema, lambda database: pa.table({"database": [database], "n": [1]}))
    assert engine.sql("db", "SELECT * FROM system.things").read_all().to_pylist() == [{"database": "db", "n": 1}]
    engine.register_system_table("things", schema, lambda _: schema.empty_table())
    assert engine.sql("db", "SELECT * FROM system.things").read_all().num_rows == 0


def test_rows_are_made_only_for_the_queries_that_read_them(lab: SnapshotLab, engine: QueryEngine) -> None:
    calls: list[str] = []

    def rows(database: str) -> pa.Table:
        calls.append(database)
        return pa.table({"n": [1, 2]})

    engine.register_system_table("counted", pa.schema([("n", pa.int64())]), rows)
    lab.table("cpu", usage="float64")
    for statement in ("SELECT 1", "SHOW TABLES", "SELECT * FROM cpu", "DESCRIBE system.counted"):
        engine.sql("db", statement).read_all()
    assert calls == []
    query = "SELECT sum(c.n) AS s, (SELECT count(*) FROM cpu) AS k FROM system.counted c WHERE c.n > 1"
    assert engine.sql("db", query).read_all().to_pylist() == [{"s": 2, "k": 0}]
    assert calls == ["db"]


def test_internal_tables_are_in_the_internal_database_only(lab: SnapshotLab, engine: QueryEngine) -> None:
    engine.register_system_table(
        "secrets", pa.schema([("n", pa.int64())]), lambda _: pa.table({"n": [1]}), internal=True
    )
    assert engine.sql("_internal", "SELECT * FROM system.secrets").read_all().num_rows == 1
    for name in ("secrets", "tokens", "databases", "tables"):
        assert engine.sql("_internal", f"SELECT * FROM system.{name}").schema.names
        with pytest.raises(InvalidQuery, match="not found"):
            engine.sql("db", f"SELECT * FROM system.{name}")


def test_parquet_files_and_the_schema_in_influxdb_terms(lab: SnapshotLab, engine: QueryEngine) -> None:
    table = lab.table("cpu", host="tag", usage="float64", n="int64", u="uint64", b="bool", s="utf8")
    file = table.add_file([{"host": "a", "usage": 1.0, "time": 5}, {"host": "a", "usage": 1.0, "time": 9}])
    assert engine.sql("db", "SELECT * FROM system.parquet_files WHERE table_name = 'cpu'").read_all().to_pylist() == [
        {"table_name": "cpu", "path": file.path, "size_bytes": file.size, "row_count": 2, "min_time": 5, "max_time": 9}
    ]
    rows = engine.sql("db", "SELECT key, data_type FROM system.influxdb_schema WHERE measurement = 'cpu'").read_all()
    assert dict(zip(rows["key"].to_pylist(), rows["data_type"].to_pylist(), strict=True)) == {
        "host": "tag",
        "time": "time",
        "usage": "float",
        "n": "integer",
        "u": "uinteger",
        "b": "boolean",
        "s": "string",
    }


def test_the_caches_that_clients_ask_for_are_empty(lab: SnapshotLab, engine: QueryEngine) -> None:
    for name in ("last_caches", "distinct_caches"):
        assert engine.sql("db", f"SELECT * FROM system.{name}").read_all().num_rows == 0


def test_the_internal_database_tells_of_all_databases(lab: SnapshotLab, engine: QueryEngine) -> None:
    rows = engine.sql("_internal", "SELECT database_name, deleted FROM system.databases").read_all().to_pylist()
    assert rows == [{"database_name": "_internal", "deleted": False}]


def test_queries_are_logged_with_their_end(lab: SnapshotLab, engine: QueryEngine) -> None:
    lab.table("cpu", usage="float64").add_file([{"usage": 1.0, "time": 1}])
    engine.sql("db", "SELECT usage FROM cpu").read_all()
    with pytest.raises(InvalidQuery):
        engine.sql("db", "SELECT nope FROM cpu")
    engine.sql("db", "SELECT count(*) FROM generate_series(1, 100000000000)").close()
    query = "SELECT query_text, phase, success, running, cancelled, parquet_files FROM system.queries"
    for _ in range(1_000):
        rows = engine.sql("db", f"{query} ORDER BY issue_time LIMIT 3").read_all().to_pylist()
        if not rows[2]["running"]:
            break
    assert [(row["phase"], row["success"], row["cancelled"], row["parquet_files"]) for row in rows] == [
        ("success", True, False, 1),
        ("fail", False, False, None),
        ("cancel", False, True, 0),
    ]
    durations = engine.sql("db", "SELECT end2end_duration FROM system.queries WHERE success LIMIT 1").read_all()
    assert durations.schema.types == [pa.duration("ns")]
    assert (
        engine.sql("_internal", "SELECT * FROM system.queries WHERE query_text LIKE 'SELECT usage%'")
        .read_all()
        .num_rows
        == 0
    )
