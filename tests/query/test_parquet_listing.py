from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datafusion import SessionContext
from headrace.query.parquet_listing import read_files, register_data_root

SCHEMA = pa.schema([("a", pa.int64()), ("b", pa.string_view())])


@pytest.fixture
def context(tmp_path: Path) -> SessionContext:
    context = SessionContext()
    register_data_root(context, tmp_path)
    return context


@pytest.mark.parametrize("count", [1, 2, 3, 150, 400])
def test_one_scan_reads_any_number_of_files(count: int, context: SessionContext, tmp_path: Path) -> None:
    paths = [f"table {at % 3}/ä%20?*[{at}].parquet" for at in range(count)]
    for at, path in enumerate(paths):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"a": [at], "b": [f"b{at}"]}), tmp_path / path)
    pq.write_table(pa.table({"a": [-1], "b": ["unlisted"]}), tmp_path / "table 0" / "other.parquet")
    frame = read_files(context, paths, SCHEMA)
    assert frame.execution_plan().display_indent().count("DataSourceExec") == 1
    rows = sorted(row["a"] for row in frame.to_pylist())
    assert rows == list(range(count))


def test_absent_columns_are_null_and_other_types_are_cast(context: SessionContext, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([1], pa.int32())}), tmp_path / "x.parquet")
    pq.write_table(pa.table({"b": pa.array(["t"]).dictionary_encode(), "c": [2.0]}), tmp_path / "y.parquet")
    rows = read_files(context, ["x.parquet", "y.parquet"], SCHEMA).to_pylist()
    assert sorted(rows, key=str) == [{"a": 1, "b": None}, {"a": None, "b": "t"}]
