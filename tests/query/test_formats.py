from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace.query.engine import QueryEngine
from headrace.query.errors import InvalidFormat, QueryError
from headrace.query.formats import ResultFormat, encode, encode_batches
from hypothesis import given
from hypothesis import strategies as st

from tests.query.snapshot_lab import SnapshotLab

START = 2_998_574_936_000_000_000

_TABLES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={"t": st.integers(0, 2**62), "s": st.text(), "f": st.floats(allow_nan=False, allow_infinity=False)},
    ),
    max_size=12,
).map(lambda rows: pa.Table.from_pylist(rows, pa.schema([("t", pa.int64()), ("s", pa.utf8()), ("f", pa.float64())])))


def _body(table: pa.Table, format_: ResultFormat, chunk: int = 5) -> bytes:
    return b"".join(encode_batches(table.to_batches(max_chunksize=chunk), table.schema, format_))


def _plain(table: pa.Table) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]


@given(_TABLES)
def test_json_holds_the_rows_without_their_nulls(table: pa.Table) -> None:
    assert json.loads(_body(table, ResultFormat.JSON)) == _plain(table)
    lines = _body(table, ResultFormat.JSONL).split(b"\n")
    assert [json.loads(line) for line in lines[:-1]] == _plain(table)
    assert lines[-1] == b""


@given(_TABLES)
def test_csv_holds_the_rows(table: pa.Table) -> None:
    text = _body(table, ResultFormat.CSV).decode()
    if table.num_rows == 0:
        assert text == ""
        return
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header == table.schema.names
    assert [row[1] for row in rows] == [value or "" for value in table["s"].to_pylist()]
    assert [int(row[0]) if row[0] else None for row in rows] == table["t"].to_pylist()
    assert [float(row[2]) if row[2] else None for row in rows] == table["f"].to_pylist()


@given(_TABLES)
def test_parquet_holds_the_rows(table: pa.Table) -> None:
    assert pq.read_table(io.BytesIO(_body(table, ResultFormat.PARQUET))) == table


@pytest.fixture
def cpu(lab: SnapshotLab) -> SnapshotLab:
    table = lab.table("cpu", host="tag", region="tag", usage="float64")
    table.add_memory(
        [
            {"host": "s1", "region": "us-east", "usage": usage, "time": START + at * 1_000_000_000}
            for at, usage in enumerate((0.9, 0.89, None))
        ]
    )
    return lab


def _query(engine: QueryEngine, format_: ResultFormat, statement: str) -> str:
    return b"".join(encode(engine.sql("db", statement), format_)).decode()


def test_the_forms_of_a_small_result(cpu: SnapshotLab, engine: QueryEngine) -> None:
    statement = "SELECT host, region, time, usage FROM cpu ORDER BY time"
    assert _query(engine, ResultFormat.PRETTY, statement) == (
        "+------+---------+---------------------+-------+\n"
        "| host | region  | time                | usage |\n"
        "+------+---------+---------------------+-------+\n"
        "| s1   | us-east | 2065-01-07T17:28:56 | 0.9   |\n"
        "| s1   | us-east | 2065-01-07T17:28:57 | 0.89  |\n"
        "| s1   | us-east | 2065-01-07T17:28:58 |       |\n"
        "+------+---------+---------------------+-------+"
    )
    assert _query(engine, ResultFormat.JSON, statement) == (
        '[{"host":"s1","region":"us-east","time":"2065-01-07T17:28:56","usage":0.9},'
        '{"host":"s1","region":"us-east","time":"2065-01-07T17:28:57","usage":0.89},'
        '{"host":"s1","region":"us-east","time":"2065-01-07T17:28:58"}]'
    )
    assert _query(engine, ResultFormat.CSV, statement).splitlines() == [
        "host,region,time,usage",
        "s1,us-east,2065-01-07T17:28:56,0.9",
        "s1,us-east,2065-01-07T17:28:57,0.89",
        "s1,us-east,2065-01-07T17:28:58,",
    ]


def test_a_result_without_rows(cpu: SnapshotLab, engine: QueryEngine) -> None:
    statement = "SELECT * FROM cpu WHERE host = 'nobody'"
    assert _query(engine, ResultFormat.JSON, statement) == "[]"
    assert _query(engine, ResultFormat.JSONL, statement) == ""
    assert _query(engine, ResultFormat.CSV, statement) == ""
    assert _query(engine, ResultFormat.PRETTY, statement) == "++\n++"
    body = b"".join(encode(engine.sql("db", statement), ResultFormat.PARQUET))
    assert pq.read_table(io.BytesIO(body)).schema.names == ["host", "region", "time", "usage"]


def test_a_table_for_people_minds_wide_characters_and_line_breaks() -> None:
    table = pa.table({"Ä": ["日本", "a\nb"], "n": [1, None]})
    assert _body(table, ResultFormat.PRETTY).decode() == (
        "+------+---+\n| Ä    | n |\n+------+---+\n| 日本 | 1 |\n| a    |   |\n| b    |   |\n+------+---+"
    )


def test_rows_with_nulls_in_every_place_stay_json() -> None:
    values = [None, 1]
    rows = [(a, b, c) for a in values for b in values for c in values]
    table = pa.table(
        {name: pa.array(column, pa.int64()) for name, column in zip("abc", zip(*rows, strict=True), strict=True)}
    )
    assert json.loads(_body(table, ResultFormat.JSON, chunk=3)) == _plain(table)


def test_two_columns_of_one_name_are_both_written() -> None:
    batch = pa.record_batch([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert b"".join(encode_batches([batch], batch.schema, ResultFormat.JSON)) == b'[{"a":1,"a":2}]'


def test_large_batches_are_written_in_pieces() -> None:
    table = pa.table({"a": range(100_000)})
    pieces = list(encode_batches(table.to_batches(), table.schema, ResultFormat.JSON))
    assert len(pieces) > 10
    assert json.loads(b"".join(pieces))[-1] == {"a": 99_999}


def test_an_error_comes_with_the_first_piece_or_ends_the_body(cpu: SnapshotLab, engine: QueryEngine) -> None:
    for format_ in ResultFormat:
        body = encode(engine.sql("db", "SELECT 1 / (usage - usage)::bigint AS x FROM cpu WHERE usage > 0"), format_)
        with pytest.raises(QueryError, match="Divide by zero"):
            b"".join(body)


def test_giving_up_a_body_ends_its_query(cpu: SnapshotLab, engine: QueryEngine) -> None:
    result = engine.sql("db", "SELECT * FROM generate_series(1, 1000000000)")
    body: Iterator[bytes] = encode(result, ResultFormat.JSON)
    next(body)
    body.close()  # type: ignore[attr-defined]
    with pytest.raises(QueryError, match="cancelled"):
        result.read_all()


@pytest.mark.parametrize(
    ("header", "format_"),
    [
        (None, "json"),
        ("application/json", "json"),
        ("*/*", "json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json"),
        ("text/csv", "csv"),
        ("text/plain", "pretty"),
        ("application/jsonl", "jsonl"),
        ("application/vnd.apache.parquet", "parquet"),
        ("text/csv;q=0.9, application/json", "csv"),
    ],
)
def test_the_accept_header_chooses(header: str | None, format_: str) -> None:
    assert ResultFormat.from_accept(header) == format_


def test_unknown_formats_are_refused() -> None:
    with pytest.raises(InvalidFormat, match=r"invalid mime type \(image/png\)"):
        ResultFormat.from_accept("image/png")
    with pytest.raises(InvalidFormat, match="did you mean 'json'"):
        ResultFormat.parse("jso")
    assert ResultFormat.parse("json_lines") is ResultFormat.JSONL


def test_content_types_are_those_of_influxdb_3() -> None:
    assert {format_.value: format_.content_type for format_ in ResultFormat} == {
        "json": "application/json",
        "jsonl": "application/jsonl",
        "csv": "text/csv",
        "pretty": "text/plain; charset=utf-8",
        "parquet": "application/vnd.apache.parquet",
    }
