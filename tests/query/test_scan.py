"""What a table's plan returns, against the merge done row by row in Python."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from headrace.query.engine import QueryEngine
from headrace.query.errors import DataFileUnreadable
from headrace.query.settings import QuerySettings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.query.snapshot_lab import SnapshotLab

COLUMNS = {"host": "tag", "region": "tag", "f": "float64", "i": "int64", "u": "uint64", "b": "bool", "s": "utf8"}
FIELDS = ("f", "i", "u", "b", "s")

_ROW = st.fixed_dictionaries(
    {"time": st.integers(0, 40), "host": st.sampled_from(["a", "b", None])},
    optional={
        "region": st.sampled_from(["x", "y"]),
        "f": st.sampled_from([-1.5, 0.0, 2.0, 1e300]),
        "i": st.sampled_from([-(2**63), -1, 0, 7]),
        "u": st.sampled_from([0, 1, 2**64 - 1]),
        "b": st.booleans(),
        "s": st.sampled_from(["", "ä", "z" * 40]),
    },
)
_PART = st.tuples(st.integers(0, 60), st.lists(_ROW, min_size=1, max_size=8))


def _shifted(part: tuple[int, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Rows of one file or of memory: moved in time, one row a key."""
    offset, rows = part
    by_key = {}
    for row in rows:
        moved = {**row, "time": row["time"] + offset}
        by_key[moved["host"], moved.get("region"), moved["time"]] = moved
    return list(by_key.values())


def _merged(parts: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for part in parts:
        for row in part:
            key = (row["host"], row.get("region"), row["time"])
            old = rows.setdefault(key, dict.fromkeys((*COLUMNS, "time")))
            old.update({name: value for name, value in row.items() if value is not None})
    return sorted(rows.values(), key=_key)


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return (row["time"], row["host"] or "", row["region"] or "")


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    times = table["time"].cast(pa.int64())
    return sorted(table.set_column(table.schema.get_field_index("time"), "time", times).to_pylist(), key=_key)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_PART, max_size=11), st.lists(_PART, max_size=1), st.integers(0, 100), st.booleans())
def test_duplicates_are_merged_as_written_and_filters_come_after(
    parts: list[tuple[int, list[dict[str, Any]]]],
    memory: list[tuple[int, list[dict[str, Any]]]],
    bound: int,
    narrow: bool,
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        lab = SnapshotLab(Path(directory))
        table = lab.table("t", **COLUMNS)
        written = [_shifted(part) for part in parts]
        for at, rows in enumerate(written):
            present = {name for row in rows for name in row} if narrow and at % 2 else None
            table.add_file(
                rows, None if present is None else [name for name in table.schema.columns if name in present]
            )
        for part in memory:
            rows = _shifted(part)
            written.append(rows)
            table.add_memory(rows)
        expected = _merged(written)
        engine = QueryEngine(lab, QuerySettings(memory_pool_bytes=64 << 20))
        try:
            assert _rows(engine.sql("db", "SELECT * FROM t").read_all()) == expected
            for condition, wanted in {
                f"time >= to_timestamp_nanos({bound})": lambda row: row["time"] >= bound,
                f"time < to_timestamp_nanos({bound})": lambda row: row["time"] < bound,
                "host = 'a'": lambda row: row["host"] == "a",
                "host IN ('a', 'b') AND region = 'x'": lambda row: row["host"] is not None and row["region"] == "x",
                "region IS NULL": lambda row: row["region"] is None,
                "f = 2.0": lambda row: row["f"] == 2.0,
                "s = 'ä' OR b": lambda row: row["s"] == "ä" or row["b"] is True,
                f"i IS NULL AND time > to_timestamp_nanos({bound})": lambda row: (
                    row["i"] is None and row["time"] > bound
                ),
            }.items():
                found = engine.sql("db", f"SELECT * FROM t WHERE {condition}").read_all()
                assert _rows(found) == [row for row in expected if wanted(row)], condition
            assert engine.sql("db", "SELECT count(*) AS n FROM t").read_all()["n"].to_pylist() == [len(expected)]
        finally:
            engine.close()


def test_columns_come_in_the_order_of_their_names_with_tags_as_dictionaries(
    lab: SnapshotLab, engine: QueryEngine
) -> None:
    table = lab.table("cpu", region="tag", host="tag", usage="float64", note="utf8")
    table.add_file([{"host": "a", "region": "x", "usage": 1.0, "note": "n", "time": 1}])
    for statement in ("SELECT * FROM cpu", "SELECT * FROM cpu WHERE host = 'nobody'"):
        schema = engine.sql("db", statement).read_all().schema
        assert schema.names == ["host", "note", "region", "time", "usage"]
        assert schema.field("host").type == schema.field("region").type == pa.dictionary(pa.int32(), pa.utf8())
        assert schema.field("note").type == pa.utf8()
        assert schema.field("time").type == pa.timestamp("ns")


def test_a_column_that_a_file_lacks_is_null_in_it(lab: SnapshotLab, engine: QueryEngine) -> None:
    table = lab.table("cpu", host="tag", usage="float64")
    table.add_file([{"host": "a", "usage": 1.0, "time": 1}])
    lab.grow("cpu", rack="tag", idle="int64", note="utf8")
    table.add_file(
        [{"host": "a", "rack": "r", "idle": 2, "note": "n", "time": 2}], ["host", "rack", "idle", "note", "time"]
    )
    rows = engine.sql("db", "SELECT host, rack, usage, idle, note FROM cpu ORDER BY time").read_all().to_pylist()
    assert rows == [
        {"host": "a", "rack": None, "usage": 1.0, "idle": None, "note": None},
        {"host": "a", "rack": "r", "usage": None, "idle": 2, "note": "n"},
    ]


def test_a_table_without_rows_has_columns(lab: SnapshotLab, engine: QueryEngine) -> None:
    lab.table("cpu", host="tag", usage="float64")
    result = engine.sql("db", "SELECT * FROM cpu").read_all()
    assert (result.num_rows, result.schema.names) == (0, ["host", "time", "usage"])


def test_rows_that_outlived_the_retention_period_are_hidden(lab: SnapshotLab, engine: QueryEngine) -> None:
    table = lab.table("cpu", usage="float64")
    table.add_file([{"usage": float(at), "time": at} for at in range(10)])
    table.add_file([{"usage": float(at), "time": at} for at in range(20, 30)])
    table.add_memory([{"usage": 5.0, "time": at} for at in (3, 7)])
    table.min_time_ns = 6
    result = engine.sql("db", "SELECT usage FROM cpu ORDER BY time")
    assert result.read_all()["usage"].to_pylist() == [6.0, 5.0, 8.0, 9.0, *map(float, range(20, 30))]
    table.min_time_ns = 20
    assert engine.sql("db", "SELECT count(*) AS n FROM cpu").files == 1


def test_names_of_tables_and_columns_may_hold_anything(lab: SnapshotLab, engine: QueryEngine) -> None:
    table = lab.table('My "table".x', **{"a.b": "tag", 'say "hi"': "float64", "Größe": "int64", "0:x": "utf8"})
    for at in range(3):
        table.add_file([{"a.b": "t", 'say "hi"': 1.0 + at, "Größe": 2, "0:x": "s", "time": 1}])
    result = engine.sql("db", 'SELECT * FROM "My ""table"".x" WHERE "Größe" = 2 AND "a.b" = \'t\'')
    assert result.read_all().drop_columns("time").to_pylist() == [{"a.b": "t", 'say "hi"': 3.0, "Größe": 2, "0:x": "s"}]
    assert result.tables == {'My "table".x'}


def test_a_missing_or_cut_file_is_an_error_and_no_empty_answer(lab: SnapshotLab, engine: QueryEngine) -> None:
    table = lab.table("cpu", usage="float64")
    file = table.add_file([{"usage": 1.0, "time": 1}])
    path = lab.data_root / file.path
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    with pytest.raises(DataFileUnreadable, match="damaged"):
        engine.sql("db", "SELECT * FROM cpu")
    path.write_bytes(b"PAR1" + bytes(len(content) - 8) + b"PAR1")
    with pytest.raises(DataFileUnreadable, match="cannot be read"):
        engine.sql("db", "SELECT * FROM cpu").read_all()
    path.unlink()
    with pytest.raises(DataFileUnreadable, match="cannot be read") as failure:
        engine.sql("db", "SELECT * FROM cpu")
    assert str(lab.data_root) not in str(failure.value)


def test_plans_and_functions_show_no_path_of_the_server(lab: SnapshotLab, engine: QueryEngine) -> None:
    table = lab.table("cpu", usage="float64")
    for statement in (
        "EXPLAIN SELECT * FROM cpu",
        "EXPLAIN ANALYZE SELECT * FROM cpu",
        "EXPLAIN VERBOSE SELECT * FROM cpu",
    ):
        table.add_file([{"usage": 1.0, "time": 1}])
        plans = "\n".join(engine.sql("db", statement).read_all()["plan"].to_pylist())
        assert f"{len(table.files):04}" in plans
        assert str(lab.data_root).strip("/") not in plans
