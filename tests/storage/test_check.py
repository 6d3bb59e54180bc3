from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace.storage import admin
from headrace.storage.check import check, check_store
from headrace.storage.store import Store
from headrace.wal.precision import Precision

from tests.storage.store_lab import settings

NS = Precision.NANOSECOND


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with Store.open(settings(tmp_path)) as store:
        store.write("db", b"cpu,host=a x=1,y=2 1000\ncpu,host=b x=3 2000\nmem,host=a x=1 1000", precision=NS)
        admin.create_trigger(store.ingest, "db", "t", plugin_path="p.py", spec="all_tables")
        store.persist()
        store.write("db", b"cpu,host=a x=2 3000", precision=NS)
    return tmp_path


def files(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.parquet"))


def test_a_whole_store_has_no_findings(directory: Path) -> None:
    assert check(directory, deep=True) == []
    report = check_store(directory, "node0", deep=True)
    assert (report.tables, report.files, report.rows, report.orphans) == (2, 3, 4, 0)


def test_an_empty_directory_has_no_findings(tmp_path: Path) -> None:
    assert check(tmp_path) == []


def test_a_missing_file_is_found(directory: Path) -> None:
    files(directory)[0].unlink()
    (finding,) = check(directory)
    assert "cannot be found" in str(finding)


def test_a_file_of_another_size_is_found(directory: Path) -> None:
    with files(directory)[0].open("ab") as file:
        file.write(b"x")
    (finding,) = check(directory)
    assert "bytes, the manifest says" in str(finding)


def test_a_file_that_is_not_parquet_is_found(directory: Path) -> None:
    path = files(directory)[0]
    path.write_bytes(b"x" * path.stat().st_size)
    (finding,) = check(directory)
    assert "cannot be read" in str(finding)


def test_a_damaged_manifest_is_found(directory: Path) -> None:
    path = min((directory / "node0" / "manifest").iterdir())
    path.write_bytes(path.read_bytes().replace(b"cpu", b"gpu"))
    (finding,) = check(directory)
    assert "CRC" in str(finding)


def test_an_orphan_is_counted_and_is_no_finding(directory: Path) -> None:
    (files(directory)[0].parent / "new.parquet").write_bytes(b"half")
    report = check_store(directory, "node0")
    assert report.orphans == 1
    assert report.findings == []


def edit_manifest(directory: Path, change: Callable[[dict[str, object]], None]) -> None:
    path = min((directory / "node0" / "manifest").iterdir())
    head, body = path.read_bytes().split(b"\n", 1)
    header, content = json.loads(head), json.loads(body)
    change(content)
    body = json.dumps(content).encode()
    header |= {"length": len(body), "crc32c": google_crc32c.value(body)}
    path.write_bytes(json.dumps(header).encode() + b"\n" + body)


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        (2, 77, "rows, the manifest says 77"),
        (3, 5, "has times from"),
        (5, 99, "newer than what is persisted"),
    ],
)
def test_a_manifest_that_says_something_else_than_a_file_is_found(
    directory: Path, place: int, value: int, problem: str
) -> None:
    def change(content: dict[str, object]) -> None:
        content["files"]["1"][0][place] = value  # type: ignore[index]

    edit_manifest(directory, change)
    assert [problem in str(finding) for finding in check(directory, deep=True)] == [True]


def test_other_columns_and_other_tag_values_are_found(directory: Path) -> None:
    def change(content: dict[str, object]) -> None:
        content["profiles"][0] = {"columns": ["time", "host", "x", "z"], "tag_ranges": {"host": ["a", "c"]}}  # type: ignore[index]

    edit_manifest(directory, change)
    found = " ".join(map(str, check(directory, deep=True)))
    assert "has the columns" in found
    assert "has values of tag host from 'a' to 'b', not 'a' to 'c'" in found


def test_a_cursor_beyond_the_log_is_found(directory: Path) -> None:
    for path in (directory / "node0" / "manifest").iterdir():
        if b'"base"' not in path.read_bytes():
            path.unlink()

    def change(content: dict[str, object]) -> None:
        content["cursors"] = {"1": 1000}

    edit_manifest(directory, change)
    assert ["cursor of trigger t" in str(finding) for finding in check(directory)] == [True]


def test_rows_out_of_order_and_rows_there_twice_are_found(directory: Path) -> None:
    path = next(path for path in files(directory) if pq.read_metadata(path).num_rows == 2)
    table = pq.read_table(path)
    twice = pa.concat_tables([table.slice(1, 1), table.slice(1, 1)])
    for changed, problem in ((table.take(pa.array([1, 0])), "not sorted"), (twice, "same tags and time")):
        pq.write_table(changed, path)
        size = path.stat().st_size

        def change(content: dict[str, object], size: int = size) -> None:
            for own in content["files"].values():  # type: ignore[attr-defined]
                for file in own:
                    if path.as_posix().endswith(file[0]):
                        file[1] = size

        edit_manifest(directory, change)
        assert any(problem in str(finding) for finding in check(directory, deep=True))
        assert check(directory) == []


def test_a_log_that_begins_behind_the_files_is_found(directory: Path) -> None:
    for path in (directory / "node0" / "wal").glob("*.wal"):
        path.rename(path.with_name(f"{900:020d}.wal"))
    assert ["frames are missing" in str(finding) for finding in check(directory)] == [True]
