from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from headrace.storage import admin
from headrace.storage.catalog import CatalogLimits
from headrace.storage.errors import (
    AlreadyDeleted,
    AlreadyExists,
    DatabaseNotFound,
    InternalDatabase,
    InvalidColumns,
    InvalidDatabaseName,
    InvalidHardDeletion,
    InvalidName,
    LimitExceeded,
    NoOperatorToken,
    OperatorTokenKept,
    StorageError,
    TableNotFound,
    TokenNotFound,
    TriggerNotFound,
    TriggerRunning,
)
from headrace.storage.hard_deletion import DEFAULT_DELAY_NS, LATEST_NS, parse_hard_deletion, resolve_hard_deletion
from headrace.storage.ingest import LinesPart
from headrace.storage.tokens import token_hash
from headrace.wal.entry import HERE, CursorMove
from headrace.wal.schema import ColumnType

from tests.storage.ingest_lab import SECOND, START_NS, IngestLab

STAMP = "20251126T000000"


@pytest.fixture
def full(tmp_path: Path) -> IngestLab:
    """Limits of one each, all used up."""
    lab = IngestLab(tmp_path / "full", CatalogLimits(databases=1, tables=1, columns_per_table=2, triggers=1, tokens=1))
    admin.create_table(lab.ingest, "db", "t", ["a"], [("x", "float64")])
    admin.create_trigger(lab.ingest, "db", "watch", "p.py", "all_tables")
    admin.create_token(lab.ingest)
    return lab


# Databases


def test_a_created_database_is_durable_and_has_its_retention(lab: IngestLab) -> None:
    info = admin.create_database(lab.ingest, "db", 3600 * SECOND)
    assert (info.name, info.created_ns, info.retention_ns) == ("db", START_NS, 3600 * SECOND)
    assert lab.replayed().database("db") == info


def test_retention_can_be_changed_and_cleared(lab: IngestLab) -> None:
    admin.create_database(lab.ingest, "db", 10**30)
    assert lab.catalog.database("db").retention_ns == LATEST_NS
    for retention in (60 * SECOND, None):
        admin.set_database_retention(lab.ingest, "db", retention)
        assert lab.catalog.database("db").retention_ns == retention


def test_a_database_that_exists_is_not_created_again(lab: IngestLab) -> None:
    admin.create_database(lab.ingest, "db")
    with pytest.raises(AlreadyExists, match="attempted to create a resource that already exists: database 'db'"):
        admin.create_database(lab.ingest, "db")
    with pytest.raises(InvalidDatabaseName):
        admin.create_database(lab.ingest, "no such")


def test_a_deleted_database_is_renamed_and_its_name_is_free(lab: IngestLab) -> None:
    lab.write("db", "a x=1 1")
    admin.create_trigger(lab.ingest, "db", "watch", "p.py", "all_tables")
    admin.delete_database(lab.ingest, "db")
    with pytest.raises(DatabaseNotFound):
        lab.catalog.database("db")
    old = lab.catalog.view.deleted_database(f"db-{STAMP}")
    assert old is not None
    assert (old.deleted_ns, old.hard_delete_ns) == (START_NS, START_NS + DEFAULT_DELAY_NS)
    assert old.triggers["watch"].disabled
    lab.write("db", "a x=1i 1")
    assert lab.catalog.table("db", "a").schema.columns["x"] is ColumnType.INTEGER


def test_databases_deleted_in_the_same_second_get_different_names(lab: IngestLab) -> None:
    for _ in range(3):
        admin.create_database(lab.ingest, "db")
        admin.delete_database(lab.ingest, "db")
    deleted = [each.name for each in lab.catalog.databases(include_deleted=True) if each.deleted]
    assert deleted == [f"db-{STAMP}", f"db-{STAMP}-2", f"db-{STAMP}-3"]


def test_deleting_a_deleted_database_changes_when_it_goes_or_is_a_conflict(lab: IngestLab) -> None:
    admin.create_database(lab.ingest, "db")
    admin.delete_database(lab.ingest, "db", "never")
    name = f"db-{STAMP}"
    with pytest.raises(AlreadyDeleted, match=f"attempted to modify resource that was already deleted: {name}"):
        admin.delete_database(lab.ingest, name, "never")
    admin.delete_database(lab.ingest, name, START_NS + 5)
    lab.clock.now += 1
    with pytest.raises(AlreadyDeleted):
        admin.delete_database(lab.ingest, name, "default")
    old = lab.catalog.view.deleted_database(name)
    assert old is not None
    assert (old.deleted_ns, old.hard_delete_ns) == (START_NS, START_NS + 5)


def test_the_internal_database_cannot_be_touched(lab: IngestLab) -> None:
    calls: list[Callable[[], object]] = [
        lambda: admin.create_database(lab.ingest, "_internal"),
        lambda: admin.delete_database(lab.ingest, "_internal"),
        lambda: admin.set_database_retention(lab.ingest, "_internal", None),
        lambda: admin.create_table(lab.ingest, "_internal", "t", ["a"]),
        lambda: admin.delete_table(lab.ingest, "_internal", "t"),
        lambda: admin.create_trigger(lab.ingest, "_internal", "t", "p.py", "all_tables"),
    ]
    for call in calls:
        with pytest.raises(InternalDatabase, match=r"cannot (modify|delete) internal db '_internal'"):
            call()
    assert not lab.frames


@pytest.mark.parametrize(
    "call",
    [
        lambda ingest, name: admin.set_database_retention(ingest, name, None),
        lambda ingest, name: admin.delete_table(ingest, name, "t"),
        lambda ingest, name: admin.create_trigger(ingest, name, "w", "p.py", "all_tables"),
        lambda ingest, name: admin.set_trigger_disabled(ingest, name, "w", True),
        lambda ingest, name: admin.delete_trigger(ingest, name, "w"),
    ],
)
def test_nothing_in_a_deleted_or_missing_database_can_be_changed(
    lab: IngestLab, call: Callable[[object, str], None]
) -> None:
    admin.create_database(lab.ingest, "db")
    with pytest.raises(DatabaseNotFound, match="did you mean 'db'"):
        call(lab.ingest, "dbs")
    admin.delete_database(lab.ingest, "db")
    with pytest.raises(AlreadyDeleted):
        call(lab.ingest, f"db-{STAMP}")


# Tables


def test_a_created_table_has_its_columns_and_its_database(lab: IngestLab) -> None:
    fields: list[tuple[str, admin.FieldType]] = [("x", "float64"), ("n", "int64"), ("u", "uint64")]
    table = admin.create_table(lab.ingest, "db", "t", ["b", "a"], [*fields, ("on", "bool"), ("note", "utf8")])
    assert table.schema.tags == ("b", "a")
    assert table.schema.columns["note"] is ColumnType.STRING
    assert lab.replayed().table("db", "t") == table
    assert admin.create_table(lab.ingest, "db", "bare", []).schema.columns == {"time": ColumnType.TIME}


def test_a_table_that_exists_is_not_created_again(lab: IngestLab) -> None:
    lab.write("db", "t x=1 1")
    with pytest.raises(AlreadyExists, match="table 't' in database 'db'"):
        admin.create_table(lab.ingest, "db", "t", ["a"])


@pytest.mark.parametrize(
    ("tags", "fields", "error", "message"),
    [
        (["a", "a"], [], InvalidColumns, "column 'a' is named twice"),
        (["a"], [("a", "utf8")], InvalidColumns, "column 'a' is named twice"),
        ([], [("x", "int32")], InvalidColumns, "'x' cannot have type 'int32'; types are float64, int64, uint64"),
        ([], [("x", "time")], InvalidColumns, "'x' cannot have type 'time'"),
        (["time"], [], InvalidName, "'time' is a reserved column"),
        ([""], [], InvalidName, "a column name cannot be empty"),
    ],
)
def test_columns_that_cannot_be_are_refused(
    lab: IngestLab, tags: list[str], fields: list[tuple[str, ColumnType]], error: type[StorageError], message: str
) -> None:
    with pytest.raises(error, match=message):
        admin.create_table(lab.ingest, "db", "t", tags, fields)
    assert lab.catalog.view.database("db") is None


def test_a_deleted_table_is_renamed_and_can_be_rescheduled(lab: IngestLab) -> None:
    lab.write("db", "t x=1 1")
    admin.delete_table(lab.ingest, "db", "t", "now")
    with pytest.raises(TableNotFound):
        lab.catalog.table("db", "t")
    with pytest.raises(AlreadyDeleted):
        admin.delete_table(lab.ingest, "db", f"t-{STAMP}", "now")
    admin.delete_table(lab.ingest, "db", f"t-{STAMP}", "never")
    (old,) = lab.catalog.database("db").deleted_tables.values()
    assert (old.name, old.deleted_ns, old.hard_delete_ns) == (f"t-{STAMP}", START_NS, None)
    with pytest.raises(TableNotFound):
        admin.delete_table(lab.ingest, "db", "t")


def test_what_is_due_is_removed_for_good(lab: IngestLab) -> None:
    lab.write("db", "a x=1 1\nb x=1 1")
    lab.write("other", "a x=1 1\nb x=1 1")
    admin.delete_table(lab.ingest, "db", "a")
    admin.delete_table(lab.ingest, "other", "b", "never")
    admin.delete_database(lab.ingest, "other")
    assert admin.remove_due(lab.ingest) == []
    lab.clock.now += DEFAULT_DELAY_NS
    assert sorted(admin.remove_due(lab.ingest)) == [1, 3, 4]
    assert [each.name for each in lab.catalog.databases(include_deleted=True)] == ["_internal", "db"]
    assert [lab.catalog.table_by_id(identity) is None for identity in (1, 2, 3, 4)] == [True, False, True, True]


# Hard deletion


def test_times_of_hard_deletion_are_words_or_rfc_3339() -> None:
    assert [parse_hard_deletion(word) for word in ("never", "now", "default")] == ["never", "now", "default"]
    assert parse_hard_deletion("2025-11-26T00:00:00Z") == START_NS
    assert parse_hard_deletion("2025-11-26T01:00:00.000001+01:00") == START_NS + 1000
    for text in ("", "tomorrow", "2025-11-26T00:00:00", "12"):
        with pytest.raises(InvalidHardDeletion, match="write never, now, default or a time such as"):
            parse_hard_deletion(text)


def test_a_moment_in_the_past_is_now() -> None:
    assert resolve_hard_deletion(5, 100, standing_ns=None) == 100
    assert resolve_hard_deletion(500, 100, standing_ns=None) == 500
    assert resolve_hard_deletion(10**30, 100, standing_ns=None) == LATEST_NS
    assert resolve_hard_deletion("never", 100, standing_ns=7) is None
    assert resolve_hard_deletion("default", 100, standing_ns=7) == 7
    assert resolve_hard_deletion("default", 100, standing_ns=None, delay_ns=1) == 101


# Triggers


def test_a_trigger_on_rows_begins_behind_the_rows_that_are_there(lab: IngestLab) -> None:
    lab.write("db", "t x=1 1")
    made = admin.create_trigger(
        lab.ingest, "db", "watch", "p.py", "table:t", arguments={"a": "b"}, settings={"limit": 1}, disabled=True
    )
    assert (made.id, made.database, made.disabled, made.created_ns) == (1, "db", True, START_NS)
    assert lab.entries()[-1] == CursorMove(1, HERE)
    assert lab.replayed().trigger("db", "watch") == made
    admin.create_trigger(lab.ingest, "db", "tick", "p.py", "every:10s")
    assert lab.catalog.trigger("db", "tick").id == 2
    assert lab.entries()[-1] != CursorMove(2, HERE)


def test_a_trigger_goes_on_at_its_cursor_or_from_now(lab: IngestLab) -> None:
    lab.write("db", "t x=1 1")
    admin.create_trigger(lab.ingest, "db", "watch", "p.py", "all_tables")
    frames = len(lab.frames)
    assert not admin.set_trigger_disabled(lab.ingest, "db", "watch", False).disabled
    assert len(lab.frames) == frames
    assert admin.set_trigger_disabled(lab.ingest, "db", "watch", True, from_now=True).disabled
    assert not admin.set_trigger_disabled(lab.ingest, "db", "watch", False).disabled
    assert not any(isinstance(entry, CursorMove) for frame in lab.frames[frames:] for entry in frame.entries)
    admin.set_trigger_disabled(lab.ingest, "db", "watch", True)
    admin.set_trigger_disabled(lab.ingest, "db", "watch", False, from_now=True)
    assert lab.entries()[-1] == CursorMove(1, HERE)


def test_trigger_names_are_unique_in_a_database_and_ids_everywhere(lab: IngestLab) -> None:
    for database in ("one", "two"):
        admin.create_database(lab.ingest, database)
        admin.create_trigger(lab.ingest, database, "watch", "p.py", "all_tables")
    assert [each.id for each in lab.catalog.triggers()] == [1, 2]
    with pytest.raises(AlreadyExists, match="trigger 'watch' in database 'one'"):
        admin.create_trigger(lab.ingest, "one", "watch", "p.py", "all_tables")
    with pytest.raises(InvalidName, match="a trigger name cannot be empty"):
        admin.create_trigger(lab.ingest, "one", "", "p.py", "all_tables")


def test_an_enabled_trigger_is_deleted_by_force_only(lab: IngestLab) -> None:
    admin.create_database(lab.ingest, "db")
    admin.create_trigger(lab.ingest, "db", "watch", "p.py", "all_tables")
    with pytest.raises(TriggerRunning, match=r"Cannot delete running plugin watch. Disable it first or use --force."):
        admin.delete_trigger(lab.ingest, "db", "watch")
    admin.delete_trigger(lab.ingest, "db", "watch", force=True)
    with pytest.raises(TriggerNotFound):
        admin.delete_trigger(lab.ingest, "db", "watch")
    admin.create_trigger(lab.ingest, "db", "watch", "p.py", "all_tables", disabled=True)
    admin.delete_trigger(lab.ingest, "db", "watch")
    assert lab.catalog.triggers() == []


# Tokens


def test_the_operator_token_is_made_once_and_only_its_hash_is_kept(lab: IngestLab) -> None:
    info, text = admin.create_token(lab.ingest)
    assert (info.name, info.hash, info.is_admin) == ("_admin", token_hash(text), True)
    assert lab.catalog.token_by_hash(token_hash(text)) is info
    with pytest.raises(AlreadyExists, match=r"^token name already exists, _admin$") as caught:
        admin.create_token(lab.ingest)
    assert caught.value.status == 409
    lab.wal.close()
    assert not any(text.encode() in path.read_bytes() for path in lab.directory.iterdir())


def test_a_regenerated_token_voids_the_old_one(lab: IngestLab) -> None:
    with pytest.raises(NoOperatorToken, match="missing admin token, cannot update"):
        admin.regenerate_token(lab.ingest)
    first, old = admin.create_token(lab.ingest)
    lab.clock.now += 5
    second, new = admin.regenerate_token(lab.ingest)
    assert (second.id, second.created_ns, second.updated_ns) == (first.id, START_NS, START_NS + 5)
    assert lab.catalog.token_by_hash(token_hash(old)) is None
    assert lab.catalog.token_by_hash(token_hash(new)) is second
    assert lab.replayed().token("_admin") == second


def test_a_named_token_expires(lab: IngestLab) -> None:
    info, _ = admin.create_token(lab.ingest, "robot", expires_ns=START_NS + 10)
    assert (info.expired(START_NS + 9), info.expired(START_NS + 10)) == (False, True)
    forever, _ = admin.create_token(lab.ingest, "late", expires_ns=10**40)
    assert forever.expires_ns == LATEST_NS
    assert not admin.create_token(lab.ingest, "never")[0].expired(LATEST_NS)


def test_a_token_made_elsewhere_is_taken_up_by_its_hash(lab: IngestLab) -> None:
    info = admin.store_token_hash(lab.ingest, "_admin", token_hash("apiv3_x"))
    assert lab.catalog.token_by_hash(token_hash("apiv3_x")) is info
    with pytest.raises(AlreadyExists, match="the token is there already, as '_admin'"):
        admin.store_token_hash(lab.ingest, "other", token_hash("apiv3_x"))


def test_named_tokens_can_be_deleted_the_operator_token_cannot(lab: IngestLab) -> None:
    admin.create_token(lab.ingest)
    _, text = admin.create_token(lab.ingest, "robot")
    admin.delete_token(lab.ingest, "robot")
    assert lab.catalog.token_by_hash(token_hash(text)) is None
    with pytest.raises(TokenNotFound):
        admin.delete_token(lab.ingest, "robot")
    with pytest.raises(OperatorTokenKept, match="cannot delete operator token"):
        admin.delete_token(lab.ingest, "_admin")


# Limits and races


def test_limits_name_themselves_the_thing_and_the_option(full: IngestLab) -> None:
    calls: list[tuple[str, Callable[[], object]]] = [
        (
            "of 1 databases: 'two'; raise it with --num-database-limit",
            lambda: admin.create_database(full.ingest, "two"),
        ),
        (
            r"'u' but already have 1 table\(s\).*--num-table-limit",
            lambda: admin.create_table(full.ingest, "db", "u", []),
        ),
        (
            "trigger 'w'.*1 triggers.*--num-trigger-limit",
            lambda: admin.create_trigger(full.ingest, "db", "w", "p", "s"),
        ),
        ("token 'w'.*1 tokens.*--num-token-limit", lambda: admin.create_token(full.ingest, "w")),
    ]
    for message, call in calls:
        with pytest.raises(LimitExceeded, match=message) as caught:
            call()
        assert caught.value.status == 422
    full.close()


def test_what_was_deleted_does_not_count(full: IngestLab) -> None:
    admin.delete_table(full.ingest, "db", "t")
    admin.create_table(full.ingest, "db", "u", [])
    admin.delete_database(full.ingest, "db")
    admin.create_table(full.ingest, "db", "t", [])
    admin.create_trigger(full.ingest, "db", "watch", "p.py", "all_tables")
    full.close()


def test_of_many_who_create_the_same_one_succeeds(lab: IngestLab) -> None:
    outcomes: list[str] = []

    def create() -> None:
        try:
            admin.create_database(lab.ingest, "db")
            outcomes.append("made")
        except AlreadyExists:
            outcomes.append("there")

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(outcomes) == ["made", *["there"] * 7]
    assert lab.ingest.submit([LinesPart("db", b"a x=1")]).future.result(10) == 2
