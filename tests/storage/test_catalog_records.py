"""The format of catalog records does not change unnoticed: what an earlier commit wrote reads as it did.

``python -m tests.storage.test_catalog_records`` writes the file anew, for a new version of the format.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from headrace.storage.catalog import Catalog
from headrace.storage.catalog_records import (
    VERSION,
    AddColumns,
    CreateDatabase,
    CreateTable,
    CreateToken,
    CreateTrigger,
    DeleteDatabase,
    DeleteTable,
    DeleteToken,
    DeleteTrigger,
    Record,
    RemoveDatabase,
    RemoveTable,
    SetDatabaseRetention,
    SetTokenHash,
    SetTriggerDisabled,
    decode_record,
    decode_state,
    encode_record,
)
from headrace.storage.errors import CatalogDamaged, CatalogVersion
from headrace.wal.schema import ColumnType

GOLDEN = Path(__file__).parent / "golden" / f"catalog-v{VERSION}.json"

EVERY_TYPE = tuple((kind.name.lower(), kind) for kind in ColumnType if kind is not ColumnType.TIME)
RECORDS: list[Record] = [
    CreateDatabase(1, "plant", 1764115200123456789),
    CreateDatabase(2, "old/autogen", 1764115200123456790, 604800000000000),
    CreateDatabase(3, "gone", 1),
    CreateTable(1, 1, "home, ünïcode", EVERY_TYPE),
    CreateTable(2, 1, "old", ()),
    CreateTable(3, 2, "t", ()),
    CreateTable(4, 1, "gone", ()),
    AddColumns(1, (("room", ColumnType.TAG),)),
    SetDatabaseRetention(1, 3600000000000),
    SetDatabaseRetention(2, None),
    DeleteTable(2, "old-20251126T000000", 1764115200000000000, None),
    DeleteTable(4, "gone-20251126T000000", 1764115200000000000, 1764115200000000000),
    RemoveTable(4),
    CreateTrigger(1, 1, "down", "down.py", "table:home", {"every": "5m"}, False, {"limit": {"s": 1.5}}, 5),
    CreateTrigger(2, 1, "ask", "gh:ask", "request:ask", None, True, {}, 6),
    CreateTrigger(3, 1, "gone", "p.py", "all_tables", None, False, {}, 7),
    SetTriggerDisabled(1, True),
    DeleteTrigger(3),
    CreateToken(1, "_admin", "00ff", 8, None, ("*:*:*",)),
    CreateToken(2, "robot", "11ff", 9, 1764115200000000000, ("db:plant:read,write", "db:old/autogen:read")),
    CreateToken(3, "gone", "22ff", 10, None, ("*:*:*",)),
    SetTokenHash(1, "33ff", 11),
    DeleteToken(3),
    DeleteDatabase(2, "old/autogen-20251126T000000", 1764115200000000000, 1764374400000000000),
    DeleteDatabase(3, "gone-20251126T000000", 1764115200000000000, 1764115200000000000),
    RemoveDatabase(3),
]


def golden() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(GOLDEN.read_text())
    return loaded


def replayed() -> Catalog:
    catalog = Catalog()
    for record in RECORDS:
        catalog.apply(encode_record(record))
    return catalog


def document() -> dict[str, Any]:
    return {"records": [encode_record(record) for record in RECORDS], "state": replayed().to_state()}


def test_the_golden_file_has_every_kind_of_record() -> None:
    assert {type(record) for record in RECORDS} == set(get_args(Record))


def test_records_of_format_version_1_read_as_they_were_written() -> None:
    assert [decode_record(record) for record in golden()["records"]] == RECORDS


def test_records_are_written_as_version_1_writes_them() -> None:
    assert json.loads(json.dumps(document())) == golden()


def test_a_state_of_format_version_1_gives_the_catalog_it_described() -> None:
    assert Catalog.from_state(golden()["state"]).view == replayed().view


def test_a_newer_version_is_told_from_damage() -> None:
    newer = {**encode_record(RECORDS[0]), "v": VERSION + 1}
    with pytest.raises(CatalogVersion, match="format version 2: this release reads 1"):
        decode_record(newer)
    with pytest.raises(CatalogVersion, match="state of format version 2"):
        decode_state({**golden()["state"], "v": VERSION + 1})


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"v": "1", "kind": "remove_table", "table_id": 1},
        {"v": 1},
        {"v": 1, "kind": "rename_table", "table_id": 1},
        {"v": 1, "kind": "remove_table"},
        {"v": 1, "kind": "remove_table", "table_id": "1"},
        {"v": 1, "kind": "remove_table", "table_id": 1, "force": True},
        {"v": 1, "kind": "create_table", "id": 1, "database_id": 1, "name": "t", "columns": [["x", "int32"]]},
    ],
)
def test_a_record_that_makes_no_sense_is_damage(record: dict[str, Any]) -> None:
    with pytest.raises(CatalogDamaged):
        decode_record(record)


@pytest.mark.parametrize("change", [{"records": None}, {"next": {}, "records": [{}]}, {"next": 1}, {"more": 1}])
def test_a_state_that_makes_no_sense_is_damage(change: dict[str, Any]) -> None:
    with pytest.raises(CatalogDamaged):
        decode_state({**golden()["state"], **change})


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(document(), indent=1, ensure_ascii=False) + "\n")
