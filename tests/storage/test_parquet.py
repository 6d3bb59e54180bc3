from __future__ import annotations

import threading
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from headrace.storage.objects import Draft, Objects
from headrace.storage.persist import write_table
from headrace.storage.snapshot import DataFile
from headrace.storage.table_buffer import TableBuffer
from headrace.wal.schema import TAG_TYPE, TIME_TYPE, ColumnType, TableSchema

SCHEMA = TableSchema(
    "weather",
    {
        "time": ColumnType.TIME,
        "city": ColumnType.TAG,
        "station": ColumnType.TAG,
        "t": ColumnType.FLOAT,
        "n": ColumnType.INTEGER,
        "u": ColumnType.UINTEGER,
        "ok": ColumnType.BOOLEAN,
        "note": ColumnType.STRING,
        "never": ColumnType.FLOAT,
    },
)
BATCH = pa.record_batch(
    {
        "note": pa.array(["x", None, "ü", ""], pa.utf8()),
        "time": pa.array([30, 20, 10, 10]).cast(TIME_TYPE),
        "station": pa.array(["s2", "s1", None, "s1"]).cast(TAG_TYPE),
        "city": pa.array(["Oslo", "Oslo", "Bergen", "Bergen"]).cast(TAG_TYPE),
        "t": pa.array([1.5, None, -0.0, float("inf")]),
        "n": pa.array([-1, 2**62, None, 0]),
        "u": pa.array([2**64 - 1, 0, None, 5], pa.uint64()),
        "ok": pa.array([True, False, None, True]),
    }
)


def write(objects: Objects, *batches: pa.RecordBatch) -> DataFile:
    buffer = TableBuffer(1, threading.RLock(), lambda _: None)
    for batch in batches:
        buffer.append(batch, batch.nbytes)
    rows = buffer.rows(buffer.appended)
    (file,) = write_table(Draft(objects), "d", rows, SCHEMA, sequence=3, gen1_ns=10**12, max_files=4)
    return file


def test_a_file_has_the_rows_sorted_with_their_types(tmp_path: Path) -> None:
    objects = Objects(tmp_path)
    file = write(objects, BATCH)
    data = pq.read_table(objects.root / file.path)
    expected = BATCH.take(pa.array([3, 2, 1, 0])).select([name for name in SCHEMA.columns if name != "never"])
    assert data.schema.names == expected.schema.names
    assert data.schema.types == expected.schema.types
    for name in data.schema.names:
        assert data.column(name).cast(pa.utf8()).to_pylist() == expected.column(name).cast(pa.utf8()).to_pylist()
    assert not data.schema.field("time").nullable
    assert file.tag_ranges == {"city": ("Bergen", "Oslo"), "station": ("s1", "s2")}
    assert (file.min_time, file.max_time, file.rows, file.sequence) == (10, 30, 4, 3)


def test_every_row_group_has_statistics_and_the_encodings_that_were_chosen(tmp_path: Path) -> None:
    objects = Objects(tmp_path)
    file = write(objects, BATCH)
    group = pq.read_metadata(objects.root / file.path).row_group(0)
    columns = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
    assert all(column.statistics.has_min_max for column in columns.values())
    assert "DELTA_BINARY_PACKED" in columns["time"].encodings
    assert "DELTA_BINARY_PACKED" in columns["n"].encodings
    assert "BYTE_STREAM_SPLIT" in columns["t"].encodings
    assert "RLE_DICTIONARY" in columns["city"].encodings
    assert all(column.compression == "ZSTD" for column in columns.values())


def test_floats_that_recur_get_a_dictionary_and_others_do_not(tmp_path: Path) -> None:
    objects = Objects(tmp_path)
    times = pa.array(range(5000)).cast(TIME_TYPE)
    for values, encoding in (([n % 7 / 10 for n in range(5000)], "RLE_DICTIONARY"), (range(5000), "BYTE_STREAM_SPLIT")):
        file = write(objects, pa.record_batch({"t": pa.array(values, pa.float64()), "time": times}))
        column = pq.read_metadata(objects.root / file.path).row_group(0).column(1)
        assert column.path_in_schema == "t"
        assert encoding in column.encodings


def test_other_engines_read_a_file_as_it_is(tmp_path: Path) -> None:
    objects = Objects(tmp_path)
    file = write(objects, BATCH)
    found = duckdb.sql(f"SELECT city, station, n, u FROM '{objects.root / file.path}' ORDER BY time DESC, station")
    assert found.fetchall() == [
        ("Oslo", "s2", -1, 2**64 - 1),
        ("Oslo", "s1", 2**62, 0),
        ("Bergen", "s1", 0, 5),
        ("Bergen", None, None, None),
    ]


def test_a_file_has_only_the_tag_values_of_its_rows(tmp_path: Path) -> None:
    objects = Objects(tmp_path)
    buffer = TableBuffer(1, threading.RLock(), lambda _: None)
    hosts = np.arange(1000)
    buffer.append(
        pa.record_batch(
            {
                "city": pa.array([f"c{n:04}" for n in hosts]).cast(TAG_TYPE),
                "time": pa.array(hosts).cast(TIME_TYPE),
            }
        ),
        1,
    )
    files = write_table(Draft(objects), "d", buffer.rows(1000), SCHEMA, sequence=1, gen1_ns=100, max_files=99)
    assert len(files) == 10
    assert files[3].tag_ranges == {"city": ("c0300", "c0399")}
    assert len(pq.read_table(objects.root / files[3].path).column("city").chunk(0).dictionary) == 100


def test_very_long_tag_values_have_no_range(tmp_path: Path) -> None:
    objects = Objects(tmp_path)
    long = pa.record_batch({"city": pa.array(["x" * 1000]).cast(TAG_TYPE), "time": pa.array([1]).cast(TIME_TYPE)})
    assert write(objects, long).tag_ranges == {}
