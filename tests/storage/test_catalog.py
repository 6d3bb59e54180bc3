from __future__ import annotations

import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson
import pytest
from headrace.storage.catalog import Catalog, CatalogLimits
from headrace.storage.catalog_records import (
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
    encode_record,
)
from headrace.storage.errors import (
    CatalogDamaged,
    DatabaseNotFound,
    TableNotFound,
    TokenNotFound,
    TriggerNotFound,
)
from headrace.wal.schema import ColumnType
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

TAG, FLOAT, INTEGER = ColumnType.TAG, ColumnType.FLOAT, ColumnType.INTEGER


def trigger(identity: int, database_id: int, name: str, *, disabled: bool = False) -> CreateTrigger:
    return CreateTrigger(
        identity, database_id, name, "p.py", "all_tables", {"a": "b"}, disabled, {"limit": [1, None]}, 7
    )


PLANT: list[Record] = [
    CreateDatabase(1, "plant", 5, 3600),
    CreateTable(1, 1, "cpu", (("host", TAG), ("usage", FLOAT))),
    CreateTable(2, 1, "mem", (("used", INTEGER),)),
    trigger(1, 1, "watch"),
    CreateToken(1, "_admin", "ab", 1, None, ("*:*:*",)),
]


def catalog_of(records: list[Record]) -> Catalog:
    catalog = Catalog()
    for record in records:
        catalog.apply(encode_record(record))
    return catalog


def through_json(document: dict[str, Any]) -> dict[str, Any]:
    loaded: dict[str, Any] = orjson.loads(orjson.dumps(document))
    return loaded


def test_an_empty_catalog_has_the_internal_database_only() -> None:
    catalog = Catalog()
    assert [(each.id, each.name) for each in catalog.databases()] == [(0, "_internal")]
    assert not catalog.tokens()
    assert not catalog.triggers()


def test_what_was_created_is_found_by_name_and_by_id() -> None:
    catalog = catalog_of(PLANT)
    table = catalog.table("plant", "cpu")
    assert catalog.table_by_id(1) is table
    assert dict(table.schema.columns) == {"time": ColumnType.TIME, "host": TAG, "usage": FLOAT}
    assert catalog.database("plant").retention_ns == 3600
    assert catalog.trigger("plant", "watch").settings == {"limit": [1, None]}
    assert catalog.token_by_hash("ab") is catalog.token("_admin")
    assert catalog.token("_admin").is_admin


def test_what_is_missing_is_answered_with_the_nearest_name() -> None:
    catalog = catalog_of(PLANT)
    with pytest.raises(DatabaseNotFound, match=r"^database not found: plnt; did you mean 'plant'\?$"):
        catalog.database("plnt")
    with pytest.raises(TableNotFound, match=r"'cpus' in database 'plant'; did you mean 'cpu'\?"):
        catalog.table("plant", "cpus")
    with pytest.raises(TriggerNotFound, match=r"did you mean 'watch'\?"):
        catalog.trigger("plant", "wach")
    with pytest.raises(TokenNotFound, match=r"did you mean '_admin'\?"):
        catalog.token("admin")


def test_new_columns_go_behind_the_old_ones() -> None:
    catalog = catalog_of([*PLANT, AddColumns(1, (("idle", FLOAT), ("rack", TAG), ("host", FLOAT)))])
    schema = catalog.table("plant", "cpu").schema
    assert list(schema.columns) == ["time", "host", "usage", "idle", "rack"]
    assert schema.tags == ("host", "rack")


def test_a_deleted_table_leaves_its_name_and_keeps_its_id() -> None:
    catalog = catalog_of([*PLANT, DeleteTable(1, "cpu-20251126T000000", 9, 99), CreateTable(3, 1, "cpu", ())])
    assert catalog.table("plant", "cpu").id == 3
    old = catalog.table_by_id(1)
    assert old is not None
    assert (old.name, old.deleted_ns, old.hard_delete_ns) == ("cpu-20251126T000000", 9, 99)
    assert catalog.database("plant").deleted_tables == {1: old}


def test_a_deleted_database_takes_its_tables_and_stops_its_triggers() -> None:
    catalog = catalog_of([*PLANT, DeleteDatabase(1, "plant-x", 9, 99), CreateDatabase(2, "plant", 10)])
    assert not catalog.database("plant").tables
    old = catalog.view.deleted_database("plant-x")
    assert old is not None
    assert not old.tables
    assert {table.name for table in old.deleted_tables.values()} == {"cpu", "mem"}
    assert all(table.hard_delete_ns == 99 for table in old.deleted_tables.values())
    assert old.triggers["watch"].disabled
    assert catalog.triggers() == []
    assert [each.name for each in catalog.databases()] == ["_internal", "plant"]
    assert [each.name for each in catalog.databases(include_deleted=True)] == ["_internal", "plant", "plant-x"]


def test_removal_is_due_once_its_time_has_come() -> None:
    catalog = catalog_of([*PLANT, DeleteTable(1, "cpu-x", 9, 50), DeleteTable(2, "mem-x", 9, None)])
    assert catalog.due_for_removal(49) == ([], [])
    assert catalog.due_for_removal(50) == ([], [catalog.table_by_id(1)])
    catalog.apply_all([DeleteDatabase(1, "plant-x", 9, 50), RemoveTable(1)])
    databases, tables = catalog.due_for_removal(50)
    assert ([each.id for each in databases], tables) == ([1], [])
    catalog.apply(encode_record(RemoveDatabase(1)))
    assert catalog.table_by_id(2) is None
    assert catalog.view.trigger(1) is None
    assert [each.name for each in catalog.databases(include_deleted=True)] == ["_internal"]


def test_ids_are_never_given_out_again() -> None:
    catalog = catalog_of([*PLANT, DeleteTrigger(1), DeleteToken(1), DeleteDatabase(1, "x", 1, 1), RemoveDatabase(1)])
    following = Catalog.from_state(through_json(catalog.to_state())).view.next
    assert following == catalog.view.next
    assert (following.database, following.table, following.trigger, following.token) == (2, 3, 2, 2)


def test_a_record_for_what_never_was_is_damage_and_changes_nothing() -> None:
    catalog = catalog_of(PLANT)
    before = catalog.view
    strays: list[Record] = [
        CreateTable(9, 7, "cpu", ()),
        AddColumns(9, ()),
        DeleteTable(9, "x", 1, None),
        RemoveTable(9),
        DeleteDatabase(9, "x", 1, None),
        SetDatabaseRetention(9, None),
        RemoveDatabase(9),
        SetTriggerDisabled(9, True),
        DeleteTrigger(9),
        SetTokenHash(9, "cd", 1),
        DeleteToken(9),
    ]
    for record in strays:
        with pytest.raises(CatalogDamaged, match="which was never created"):
            catalog.apply(encode_record(record))
        assert catalog.view is before
        assert catalog.table_by_id(1) is before.tables[1]


def test_a_view_never_changes() -> None:
    catalog = catalog_of(PLANT)
    before = catalog.view
    state = catalog.to_state()
    catalog.apply_all([AddColumns(1, (("x", FLOAT),)), SetTriggerDisabled(1, True), DeleteTable(2, "m", 1, None)])
    assert Catalog(view=before).to_state() == state


def test_what_is_on_its_way_into_the_log_is_found_by_id_only_and_vanishes_if_it_fails() -> None:
    catalog = catalog_of(PLANT)
    new: list[Record] = [CreateTable(3, 1, "disk", (("free", INTEGER),))]

    def fail() -> None:
        with catalog.lock, catalog.advancing(new):
            assert catalog.table_by_id(3) is not None
            assert catalog.view.table("plant", "disk") is None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert catalog.table_by_id(3) is None
    with catalog.lock, catalog.advancing(new):
        pass
    assert catalog.table("plant", "disk") is catalog.table_by_id(3)


def test_a_state_has_no_change_that_may_yet_fail() -> None:
    catalog = catalog_of(PLANT)
    before = catalog.to_state()
    states: list[dict[str, Any]] = []
    taker = threading.Thread(target=lambda: states.append(catalog.to_state()))

    def fail() -> None:
        with catalog.lock, catalog.advancing([CreateTable(3, 1, "disk", ())]):
            taker.start()
            assert not states
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    taker.join(10)
    assert states == [before]


def test_readers_need_no_lock() -> None:
    catalog = catalog_of(PLANT)
    seen: list[str] = []
    with catalog.lock:
        reader = threading.Thread(target=lambda: seen.append(catalog.table("plant", "cpu").name))
        reader.start()
        reader.join(10)
    assert seen == ["cpu"]


@pytest.mark.parametrize("limit", ["databases", "tables", "columns_per_table", "tags_per_table", "triggers", "tokens"])
def test_a_limit_below_one_is_refused_by_the_name_of_its_option(limit: str) -> None:
    with pytest.raises(ValueError, match=r"--num-.*-limit must be at least 1"):
        CatalogLimits(**{limit: 0})


def test_every_limit_is_documented_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "internals" / "catalog.md").read_text()
    for each in fields(CatalogLimits):
        assert f"| `{each.metadata['option']}` | {each.default} | {each.metadata['help']} |" in page


class History(RuleBasedStateMachine):
    """Any history of valid records: states round-trip, and replaying any tail of the log over a state is harmless."""

    def __init__(self) -> None:
        super().__init__()
        self.catalog = Catalog()
        self.log: list[Record] = []
        self.states: list[tuple[int, dict[str, Any]]] = [(0, self.catalog.to_state())]
        self.clock = 0

    def do(self, record: Record) -> None:
        self.log.append(record)
        self.catalog.apply(encode_record(record))

    def pick(self, data: st.DataObject, kind: str) -> Any:
        view = self.catalog.view
        things: dict[str, list[Any]] = {
            "database": [each for each in view.databases.values() if each.id],
            "live database": [each for each in view.live_databases() if each.id],
            "table": list(view.tables.values()),
            "live table": [table for database in view.live_databases() for table in database.tables.values()],
            "trigger": [trigger for database in view.databases.values() for trigger in database.triggers.values()],
            "token": list(view.tokens.values()),
        }
        return data.draw(st.sampled_from(things[kind])) if things[kind] else None

    @initialize()
    def begin(self) -> None:
        self.do(CreateDatabase(1, "a", 1))

    @rule(name=st.sampled_from(["a", "b", "a1"]))
    def create_database(self, name: str) -> None:
        if self.catalog.view.database(name) is None:
            self.do(CreateDatabase(self.catalog.view.next.database, name, self.clock))

    @rule(data=st.data(), name=st.sampled_from(["t", "u", "t-1", "t-2"]))
    def create_table(self, data: st.DataObject, name: str) -> None:
        database = self.pick(data, "live database")
        if database is not None and name not in database.tables:
            columns = data.draw(st.permutations([("x", TAG), ("y", FLOAT), ("z", INTEGER)]))[
                : data.draw(st.integers(0, 3))
            ]
            self.do(CreateTable(self.catalog.view.next.table, database.id, name, tuple(columns)))

    @rule(data=st.data(), name=st.sampled_from("pqr"))
    def add_column(self, data: st.DataObject, name: str) -> None:
        if (table := self.pick(data, "table")) is not None:
            self.do(AddColumns(table.id, ((name, TAG),)))

    @rule(data=st.data(), hard=st.sampled_from([None, 5]))
    def delete_table(self, data: st.DataObject, hard: int | None) -> None:
        if (table := self.pick(data, "live table")) is not None:
            self.clock += 1
            self.do(DeleteTable(table.id, f"{table.name[0]}-{self.clock % 3}", self.clock, hard))

    @rule(data=st.data())
    def remove_table(self, data: st.DataObject) -> None:
        if (table := self.pick(data, "table")) is not None:
            self.do(RemoveTable(table.id))

    @rule(data=st.data(), hard=st.sampled_from([None, 5]))
    def delete_database(self, data: st.DataObject, hard: int | None) -> None:
        if (database := self.pick(data, "live database")) is not None:
            self.clock += 1
            self.do(DeleteDatabase(database.id, f"{database.name}{self.clock % 3}", self.clock, hard))

    @rule(data=st.data(), retention=st.sampled_from([None, 60]))
    def set_retention(self, data: st.DataObject, retention: int | None) -> None:
        if (database := self.pick(data, "live database")) is not None:
            self.do(SetDatabaseRetention(database.id, retention))

    @rule(data=st.data())
    def remove_database(self, data: st.DataObject) -> None:
        if (database := self.pick(data, "database")) is not None:
            self.do(RemoveDatabase(database.id))

    @rule(data=st.data(), name=st.sampled_from("xy"))
    def create_trigger(self, data: st.DataObject, name: str) -> None:
        database = self.pick(data, "live database")
        if database is not None and name not in database.triggers:
            self.do(trigger(self.catalog.view.next.trigger, database.id, name))

    @rule(data=st.data(), disabled=st.booleans())
    def set_disabled(self, data: st.DataObject, disabled: bool) -> None:
        if (found := self.pick(data, "trigger")) is not None:
            self.do(SetTriggerDisabled(found.id, disabled))

    @rule(data=st.data())
    def delete_trigger(self, data: st.DataObject) -> None:
        if (found := self.pick(data, "trigger")) is not None:
            self.do(DeleteTrigger(found.id))

    @rule(name=st.sampled_from("mn"))
    def create_token(self, name: str) -> None:
        if name not in self.catalog.view.tokens:
            following = self.catalog.view.next.token
            self.do(CreateToken(following, name, f"{following:x}", self.clock, None, ("*:*:*",)))

    @rule(data=st.data())
    def regenerate_token(self, data: st.DataObject) -> None:
        if (token := self.pick(data, "token")) is not None:
            self.do(SetTokenHash(token.id, f"{token.hash}f", self.clock))

    @rule(data=st.data())
    def delete_token(self, data: st.DataObject) -> None:
        if (token := self.pick(data, "token")) is not None:
            self.do(DeleteToken(token.id))

    @rule()
    def checkpoint(self) -> None:
        self.states.append((len(self.log), self.catalog.to_state()))

    @rule(data=st.data())
    def replaying_a_tail_over_a_state_gives_the_catalog(self, data: st.DataObject) -> None:
        position, state = data.draw(st.sampled_from(self.states))
        start = data.draw(st.integers(0, position))
        restored = Catalog.from_state(through_json(state))
        for record in self.log[start:]:
            restored.apply(through_json(encode_record(record)))
        assert restored.view == self.catalog.view

    @invariant()
    def the_state_round_trips(self) -> None:
        state = self.catalog.to_state()
        restored = Catalog.from_state(through_json(state))
        assert restored.view == self.catalog.view
        assert restored.to_state() == state

    @invariant()
    def both_ways_to_a_table_lead_to_the_same_one(self) -> None:
        view = self.catalog.view
        for database in view.databases.values():
            assert not (database.deleted and database.tables)
            for table in [*database.tables.values(), *database.deleted_tables.values()]:
                assert view.tables[table.id] is table
                assert table.database_id == database.id
        counted = sum(len(each.tables) + len(each.deleted_tables) for each in view.databases.values())
        assert counted == len(view.tables)


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.lists(st.sampled_from(PLANT), max_size=12))
def test_applying_records_again_changes_nothing(again: list[Record]) -> None:
    catalog = catalog_of(PLANT)
    before = catalog.view
    for record in again:
        catalog.apply(encode_record(record))
    assert catalog.view == before
