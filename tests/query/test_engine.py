from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from headrace.query.engine import QueryEngine
from headrace.query.errors import InvalidQuery, QueryError, StatementTooLarge, TooManyQueries, UnsupportedQuery
from headrace.query.settings import QuerySettings
from headrace.storage.errors import DatabaseNotFound

from tests.query.snapshot_lab import SnapshotLab


@pytest.fixture
def home(lab: SnapshotLab) -> SnapshotLab:
    table = lab.table("home", room="tag", temp="float64", co="int64")
    table.add_file([{"room": "Kitchen", "temp": 21.0, "co": 1, "time": 1}, {"room": "Attic", "temp": 15.0, "time": 2}])
    table.add_memory([{"room": "Kitchen", "co": 5, "time": 1}])
    return lab


def test_a_query_tells_what_it_reads(home: SnapshotLab, engine: QueryEngine) -> None:
    result = engine.sql("db", "SELECT room, temp, co FROM home ORDER BY room")
    assert (result.tables, result.files) == ({"home"}, 1)
    assert result.read_all().to_pylist() == [
        {"room": "Attic", "temp": 15.0, "co": None},
        {"room": "Kitchen", "temp": 21.0, "co": 5},
    ]


@pytest.mark.parametrize("name", ["home", "iox.home", "public.iox.home", "HOME", '"home"'])
def test_a_table_goes_by_its_short_and_its_full_name(name: str, home: SnapshotLab, engine: QueryEngine) -> None:
    assert engine.sql("db", f"SELECT count(*) AS n FROM {name}").read_all()["n"].to_pylist() == [2]


def test_the_information_schema_shows_types_as_clients_see_them(home: SnapshotLab, engine: QueryEngine) -> None:
    query = "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = 'home'"
    columns = {row["column_name"]: row["data_type"] for row in engine.sql("db", query).read_all().to_pylist()}
    assert columns == {"co": "Int64", "room": "Dictionary(Int32, Utf8)", "temp": "Float64", "time": "Timestamp(ns)"}
    described = engine.sql("db", "DESCRIBE home").read_all().to_pylist()
    assert [row["column_name"] for row in described] == ["co", "room", "temp", "time"]
    assert described[3]["is_nullable"] == "NO"
    shown = engine.sql("db", "SHOW COLUMNS FROM home").read_all().to_pylist()
    assert {row["column_name"]: row["data_type"] for row in shown} == columns


def test_show_tables_lists_user_tables_then_system_tables_then_views(home: SnapshotLab, engine: QueryEngine) -> None:
    for name in ("xxx", "aaa", "Zzz"):
        home.table(name, f="float64")
    rows = engine.sql("db", "show tables;").read_all().to_pylist()
    names = [(row["table_schema"], row["table_name"]) for row in rows]
    assert [name for schema, name in names if schema == "iox"] == ["Zzz", "aaa", "home", "xxx"]
    system = [name for schema, name in names if schema == "system"]
    assert system == sorted(system)
    assert {"queries", "parquet_files", "last_caches", "distinct_caches", "influxdb_schema"} <= set(system)
    assert [schema for schema, _ in names] == ["iox"] * 4 + ["system"] * len(system) + ["information_schema"] * 7
    assert rows[0]["table_type"] == "BASE TABLE"


def test_a_join_of_the_information_schema_with_a_table_sees_all_tables(home: SnapshotLab, engine: QueryEngine) -> None:
    home.table("other", f="float64")
    query = (
        "SELECT DISTINCT t.table_name FROM information_schema.tables t CROSS JOIN home "
        "WHERE t.table_schema = 'iox' ORDER BY 1"
    )
    assert engine.sql("db", query).read_all()["table_name"].to_pylist() == ["home", "other"]


def test_a_new_column_and_a_new_table_are_seen_at_once(home: SnapshotLab, engine: QueryEngine) -> None:
    assert engine.sql("db", "SELECT * FROM home").schema.names == ["co", "room", "temp", "time"]
    home.grow("home", hum="float64")
    home.table("other", f="float64")
    assert engine.sql("db", "SELECT * FROM home").schema.names == ["co", "hum", "room", "temp", "time"]
    assert engine.sql("db", "SELECT * FROM other").schema.names == ["f", "time"]


def test_two_columns_of_one_name_keep_their_types(home: SnapshotLab, engine: QueryEngine) -> None:
    result = engine.sql("db", "SELECT a.room, b.room FROM home a JOIN home b ON a.room = b.room AND a.time = b.time")
    table = result.read_all()
    assert table.schema.types == [pa.dictionary(pa.int32(), pa.utf8())] * 2
    assert sorted(table.column(1).to_pylist()) == ["Attic", "Kitchen"]


def test_explain_shows_the_plan_over_the_chosen_files(home: SnapshotLab, engine: QueryEngine) -> None:
    (_, physical) = (
        engine.sql("db", "EXPLAIN SELECT * FROM home WHERE time >= to_timestamp_nanos(2)")
        .read_all()["plan"]
        .to_pylist()
    )
    assert "0001" in physical
    analyzed = engine.sql("db", "EXPLAIN ANALYZE SELECT * FROM home").read_all()["plan"].to_pylist()
    assert "output_rows" in analyzed[0]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELEC 1", "SELEC at Line: 1, Column: 1"),
        ("SELECT *\nFROM home WHERE )", r"Line: 2, Column: 17"),
        ("SELECT 'never closed", "Unterminated string literal at Line: 1, Column: 8"),
        ("SELECT * FROM hom", r"table 'public\.iox\.hom' not found; did you mean 'home'\?"),
        ("SELECT * FROM system.querie", "not found; did you mean 'system.queries'"),
        ("SELECT tmp FROM home", r"No field named tmp; did you mean 'temp'\?\nValid fields are home\.co, home\.room"),
        ("SELECT h.tem FROM home h", r"No field named h\.tem\W+[Dd]id you mean '(h\.)?temp'\?"),
        ("SELECT coun(temp) FROM home", r"Invalid function 'coun'.\nDid you mean 'count'"),
        ("SELECT sum(room) FROM home", "Function 'sum'"),
        ("SELECT * FROM home WHERE time > 1640995200000000000", "Cannot infer common argument type"),
        ("SELECT * FROM home WHERE time > 'yesterday'", "Error parsing timestamp from 'yesterday'"),
    ],
)
def test_a_wrong_statement_is_answered_with_what_is_wrong(
    statement: str, message: str, home: SnapshotLab, engine: QueryEngine
) -> None:
    with pytest.raises(InvalidQuery, match=message) as failure:
        engine.sql("db", statement).read_all()
    assert failure.value.status == 400
    assert "DataFusion" not in str(failure.value)


def test_an_error_of_the_computation_comes_from_the_batches(home: SnapshotLab, engine: QueryEngine) -> None:
    result = engine.sql("db", "SELECT co / (co - co) AS x FROM home")
    with pytest.raises(InvalidQuery, match="Divide by zero"):
        result.read_all()


def test_what_is_not_implemented_is_told_apart(engine: QueryEngine) -> None:
    with pytest.raises(UnsupportedQuery) as failure:
        engine.sql("db", "SHOW DATABASES").read_all()
    assert failure.value.status == 405


def test_an_unknown_database_is_not_found(engine: QueryEngine) -> None:
    with pytest.raises(DatabaseNotFound) as failure:
        engine.sql("nope", "SELECT 1")
    assert failure.value.status == 404


def test_a_statement_has_a_longest_length(lab: SnapshotLab) -> None:
    engine = QueryEngine(lab, QuerySettings(statement_bytes=100))
    with pytest.raises(StatementTooLarge, match="101 bytes, more than 100"):
        engine.sql("db", "SELECT '" + "x" * 92 + "'")
    engine.close()


def test_more_queries_than_allowed_wait_and_are_then_refused(home: SnapshotLab) -> None:
    engine = QueryEngine(home, QuerySettings(concurrent_queries=1, queue_timeout_s=0.05))
    with engine.sql("db", "SELECT * FROM generate_series(1, 10000000)") as first:
        next(first.batches)
        with pytest.raises(TooManyQueries) as refusal:
            engine.sql("db", "SELECT 1")
        assert refusal.value.status == 503
    waiting = QueryEngine(home, QuerySettings(concurrent_queries=1))
    assert [waiting.sql("db", "SELECT 1 AS x").read_all()["x"].to_pylist() for _ in range(50)] == [[1]] * 50
    engine.close()
    waiting.close()


def test_failed_queries_give_their_place_back(home: SnapshotLab) -> None:
    engine = QueryEngine(home, QuerySettings(concurrent_queries=2, queue_timeout_s=0.05))
    for _ in range(5):
        for statement in ("SELECT nope", "SELECT co / (co - co) FROM home", "SELECT $x"):
            with pytest.raises(QueryError):
                engine.sql("db", statement).read_all()
        with pytest.raises(DatabaseNotFound):
            engine.sql("nope", "SELECT 1")
    assert engine.sql("db", "SELECT 1").read_all().num_rows == 1
    engine.close()


def test_many_threads_ask_at_once_while_the_catalog_changes(home: SnapshotLab, engine: QueryEngine) -> None:
    stop = threading.Event()

    def grow() -> None:
        at = 0
        while not stop.is_set() and at < 30:
            home.grow("home", **{f"f{at}": "float64"})
            at += 1

    def ask(at: int) -> int:
        statement = ("SELECT * FROM home", "SELECT count(*) FROM home GROUP BY room", "SHOW TABLES", "SELECT 1")[at % 4]
        return engine.sql("db", statement).read_all().num_rows

    grower = threading.Thread(target=grow)
    grower.start()
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(ask, range(80)))
    stop.set()
    grower.join()
    assert set(rows[0::4]) == set(rows[1::4]) == {2}
    assert set(rows[3::4]) == {1}


def test_a_result_may_be_read_in_another_thread(home: SnapshotLab, engine: QueryEngine) -> None:
    result = engine.sql("db", "SELECT * FROM home")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(result.read_all).result().num_rows == 2


def test_the_data_root_may_have_any_name(tmp_path: Path) -> None:
    root = tmp_path / "a b%20[c]*?ä"
    root.mkdir()
    lab = SnapshotLab(root)
    lab.table("cpu", usage="float64").add_file([{"usage": 1.0, "time": 1}])
    engine = QueryEngine(lab)
    assert engine.sql("db", "SELECT usage FROM cpu").read_all()["usage"].to_pylist() == [1.0]
    engine.close()
