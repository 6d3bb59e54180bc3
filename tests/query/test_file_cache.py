from __future__ import annotations

import os
from pathlib import Path

import pytest
from headrace.query.engine import QueryEngine
from headrace.query.errors import DataFileUnreadable
from headrace.query.file_cache import FileCache

from tests.query.snapshot_lab import LabTable, SnapshotLab


def _table(lab: SnapshotLab, files: int, rows: int = 10) -> LabTable:
    table = lab.table("cpu", host="tag", usage="float64", note="utf8")
    for at in range(files):
        table.add_file([{"host": "a", "usage": float(at), "time": at * 100 + row} for row in range(rows)])
    return table


def test_a_file_is_kept_when_it_is_read_again(lab: SnapshotLab) -> None:
    table = _table(lab, 2)
    cache = FileCache(lab.data_root, 1 << 20)
    assert cache.batches(table.files, table.schema) == {}
    kept = cache.batches(table.files, table.schema)
    assert set(kept) == {file.path for file in table.files}
    for batch in kept.values():
        assert batch.schema == table.schema.arrow_schema()
        assert batch.num_rows == 10
    again = cache.batches(table.files, table.schema)
    assert all(again[path] is batch for path, batch in kept.items())


def test_a_column_that_comes_later_is_null_in_what_is_kept(lab: SnapshotLab) -> None:
    table = _table(lab, 1)
    cache = FileCache(lab.data_root, 1 << 20)
    for _ in range(2):
        cache.batches(table.files, table.schema)
    lab.grow("cpu", rack="tag", idle="int64")
    (batch,) = cache.batches(table.files, table.schema).values()
    assert batch.schema == table.schema.arrow_schema()
    assert batch["rack"].null_count == batch["idle"].null_count == batch.num_rows


def test_the_cache_stays_within_its_bound(lab: SnapshotLab) -> None:
    table = _table(lab, 20, rows=100)
    cache = FileCache(lab.data_root, 20_000)
    for _ in range(3):
        for file in table.files:
            cache.batches([file], table.schema)
    assert 0 < cache.size <= 20_000
    nothing = FileCache(lab.data_root, 0)
    for _ in range(3):
        nothing.batches(table.files, table.schema)
    assert nothing.size == 0


def test_a_query_of_many_files_or_of_large_ones_does_not_fill_it(lab: SnapshotLab) -> None:
    table = _table(lab, 40, rows=1)
    large = table.add_file([{"host": "a", "usage": 1.0, "time": at} for at in range(30_000)])
    cache = FileCache(lab.data_root, 1 << 30)
    for _ in range(3):
        assert cache.batches(table.files, table.schema) == {}
        assert cache.batches([large], table.schema) == {}
    assert cache.size == 0


def test_answers_do_not_depend_on_what_is_kept(lab: SnapshotLab, engine: QueryEngine) -> None:
    table = _table(lab, 3)
    table.add_memory([{"host": "a", "usage": -1.0, "time": 105}])
    query = "SELECT * FROM cpu ORDER BY time"
    first = engine.sql("db", query).read_all()
    for _ in range(3):
        assert engine.sql("db", query).read_all() == first
    table.add_file([{"host": "b", "usage": 7.0, "time": 5}])
    assert engine.sql("db", query).read_all().num_rows == first.num_rows + 1


def test_a_file_that_is_damaged_when_it_is_to_be_kept_is_told(lab: SnapshotLab, engine: QueryEngine) -> None:
    (file,) = _table(lab, 1).files
    engine.sql("db", "SELECT count(*) FROM cpu").read_all()
    path = Path(lab.data_root, file.path)
    path.write_bytes(os.urandom(file.size))
    with pytest.raises(DataFileUnreadable) as failure:
        engine.sql("db", "SELECT * FROM cpu")
    assert str(lab.data_root) not in str(failure.value)
