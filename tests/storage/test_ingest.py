from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pytest
from headrace.storage.catalog import Catalog, CatalogLimits
from headrace.storage.catalog_records import CreateDatabase, Record
from headrace.storage.errors import (
    BufferFull,
    InternalDatabase,
    InvalidColumns,
    InvalidDatabaseName,
    InvalidLines,
    InvalidName,
    LimitExceeded,
)
from headrace.storage.ingest import Ingest, LinesPart, TablePart, WritePart
from headrace.storage.refused_lines import measurement
from headrace.wal.entry import HERE, CatalogChange, CursorMove, Rows
from headrace.wal.errors import WalClosed, WalFailed, WalFull
from headrace.wal.line_protocol import Precision
from headrace.wal.schema import ColumnType
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.storage.ingest_lab import SECOND, START_NS, IngestLab
from tests.wal.faulty_disk import FaultyDisk

HOME = pa.record_batch({"room": ["Kitchen", "Bath"], "temp": [21.5, 23.0]})


def test_the_first_write_makes_database_table_and_columns_in_its_own_frame(lab: IngestLab) -> None:
    written = lab.write("db", "home,room=Kitchen temp=21.5,co=3i 1000\n")
    assert (written.rows, written.stored, written.error_count) == (1, True, 0)
    assert written.future.result() == 1
    kinds = [entry.record["kind"] if isinstance(entry, CatalogChange) else type(entry) for entry in lab.entries()]
    assert kinds == ["create_database", "create_table", Rows]
    assert list(lab.catalog.table("db", "home").schema.columns) == ["time", "room", "temp", "co"]
    assert lab.rows("db", "home") == [{"time": 1000 * SECOND, "room": "Kitchen", "temp": 21.5, "co": 3}]


def test_a_write_that_changes_nothing_takes_no_lock(lab: IngestLab) -> None:
    lab.write("db", "home temp=1 1")
    with lab.catalog.lock:
        writer = threading.Thread(target=lab.write, args=("db", "home temp=2 2"))
        writer.start()
        writer.join(10)
        assert not writer.is_alive()
    assert len(lab.frames) == 2


def test_new_columns_and_even_new_tags_are_added_to_a_table(lab: IngestLab) -> None:
    lab.write("db", "home,room=a temp=1 1")
    lab.write("db", "home,room=a,floor=1 temp=1,on=true 2")
    assert dict(lab.catalog.table("db", "home").schema.columns) == {
        "time": ColumnType.TIME,
        "room": ColumnType.TAG,
        "temp": ColumnType.FLOAT,
        "floor": ColumnType.TAG,
        "on": ColumnType.BOOLEAN,
    }


def test_lines_without_a_time_get_that_of_their_arrival_or_the_one_given(lab: IngestLab) -> None:
    lab.write("db", "a x=1")
    lab.ingest.submit([LinesPart("db", b"a x=2", Precision.SECOND, 5 * SECOND)]).future.result(10)
    assert [row["time"] for row in lab.rows("db", "a")] == [START_NS, 5 * SECOND]


def test_good_lines_are_stored_and_bad_ones_reported(lab: IngestLab) -> None:
    written = lab.write("db", "a x=1 1\nbad\na x=2i 2\na x=3 3")
    assert written.rows == 2
    assert [error.line_number for error in written.errors] == [2, 3]
    assert [row["x"] for row in lab.rows("db", "a")] == [1.0, 3.0]


def test_without_accept_partial_one_bad_line_is_enough(lab: IngestLab) -> None:
    written = lab.write("db", "a x=1 1\nbad", accept_partial=False, cursor=CursorMove(1, 1))
    assert (written.stored, written.rows, written.error_count) == (False, 0, 1)
    assert written.future.result() == 0
    assert not lab.frames
    assert lab.catalog.view.database("db") is None


def test_a_write_of_bad_lines_only_makes_nothing(lab: IngestLab) -> None:
    written = lab.write("db", "bad\nworse")
    assert (written.stored, written.future.result(), written.error_count) == (False, 0, 2)
    assert lab.catalog.view.database("db") is None
    assert not lab.write("db", "").stored


def test_parts_for_several_databases_and_a_cursor_are_one_frame(lab: IngestLab) -> None:
    parts: list[WritePart] = [
        LinesPart("one", b"a x=1 1"),
        TablePart("two", "home", HOME, ("room",)),
        LinesPart("one", b"a,t=u y=2i 2\nbad"),
        TablePart("one", "a", pa.record_batch({"z": [True]}), ()),
    ]
    written = lab.ingest.submit(parts, cursor=CursorMove(7, HERE))
    assert written.future.result(10) == 1
    assert (written.rows, written.error_count) == (5, 1)
    assert [type(entry) for entry in lab.entries() if not isinstance(entry, CatalogChange)] == [*[Rows] * 4, CursorMove]
    assert list(lab.catalog.table("one", "a").schema.columns) == ["time", "x", "t", "y", "z"]
    assert lab.rows("two", "home")[1] == {"time": START_NS, "room": "Bath", "temp": 23.0}


def test_a_later_part_is_held_to_what_an_earlier_one_made(lab: IngestLab) -> None:
    written = lab.ingest.submit([LinesPart("db", b"a x=1 1"), LinesPart("db", b"a x=1i 2")])
    assert (written.rows, written.error_count) == (1, 1)
    with pytest.raises(InvalidColumns, match="column 'x' is float64, not int64") as caught:
        lab.ingest.submit([LinesPart("d", b"a x=1 1"), TablePart("d", "a", pa.record_batch({"x": [1]}), ())])
    assert isinstance(caught.value.part, TablePart)
    assert lab.catalog.view.database("d") is None


def test_a_cursor_alone_is_a_frame(lab: IngestLab) -> None:
    written = lab.ingest.submit([], cursor=CursorMove(3, 9))
    assert (written.stored, written.rows, written.future.result(10)) == (True, 0, 1)
    assert lab.entries() == [CursorMove(3, 9)]


@pytest.mark.parametrize(
    ("name", "error"), [("", InvalidDatabaseName), ("a b", InvalidDatabaseName), ("_internal", InternalDatabase)]
)
def test_a_database_that_cannot_be_is_an_error_of_the_whole_write(
    lab: IngestLab, name: str, error: type[Exception]
) -> None:
    part = LinesPart(name, b"a x=1")
    with pytest.raises(error) as caught:
        lab.ingest.submit([LinesPart("good", b"a x=1"), part])
    assert getattr(caught.value, "part", None) is part
    assert not lab.frames


def test_a_write_to_a_deleted_name_makes_a_new_table(lab: IngestLab) -> None:
    from headrace.storage import admin

    lab.write("db", "a x=1 1")
    first = lab.catalog.table("db", "a").id
    admin.delete_table(lab.ingest, "db", "a")
    lab.write("db", "a x=2i 2")
    assert lab.catalog.table("db", "a").id != first
    assert [row["x"] for row in lab.rows("db", "a")] == [2]


# Limits


@pytest.fixture
def small(tmp_path: Path) -> IngestLab:
    return IngestLab(tmp_path / "small", CatalogLimits(databases=2, tables=3, columns_per_table=3, tags_per_table=1))


def test_tables_beyond_the_limit_cost_their_own_lines_only(small: IngestLab) -> None:
    written = small.write("db", "# one\na x=1\nb x=1\n\nc x=1\nd x=1\na x=2\nd,t=1 y=2\ne\\ f x=1")
    assert written.rows == 4
    assert [error.line_number for error in written.errors] == [6, 8, 9]
    assert written.errors[0].error_message == (
        "Update to schema would exceed number of tables limit: attempted to create table 'd' but already have 3 "
        "table(s) (limit: 3); raise it with --num-table-limit"
    )
    assert "'e f'" in written.errors[2].error_message
    assert sorted(small.catalog.database("db").tables) == ["a", "b", "c"]
    small.close()


def test_columns_beyond_the_limit_cost_the_lines_that_use_them_only(small: IngestLab) -> None:
    written = small.write("db", "a,t=1 x=1 1\na,t=1 y=1 2\na,t=1 z=1,x=1 3\na,t=1 x=2 4\na,u=1 x=3 5")
    assert [row["time"] // SECOND for row in small.rows("db", "a")] == [1, 2, 4]
    assert [error.line_number for error in written.errors] == [3, 5]
    assert [error.error_message for error in written.errors] == [
        "Update to schema would exceed number of columns per table limit of 3 columns: column 'z' of table 'a'; "
        "raise it with --num-total-columns-per-table-limit",
        "Update to schema would exceed number of columns per table limit of 3 columns: column 'u' of table 'a'; "
        "raise it with --num-total-columns-per-table-limit",
    ]
    assert small.write("db", "a,u=1 x=3 5").rows == 0
    small.close()


def test_tags_have_a_limit_of_their_own(small: IngestLab) -> None:
    written = small.write("db", "a,t=1 x=1 1\na,u=1 x=1 2")
    assert written.rows == 1
    assert "tag columns per table limit of 1 columns: tag 'u'" in written.errors[0].error_message
    small.close()


def test_databases_beyond_the_limit_are_refused_as_a_whole(small: IngestLab) -> None:
    small.write("one", "a x=1")
    with pytest.raises(LimitExceeded, match="limit of 2 databases: 'three'; raise it with --num-database-limit"):
        small.ingest.submit([LinesPart("two", b"a x=1"), LinesPart("three", b"a x=1")])
    assert small.catalog.view.database("two") is None
    small.close()


@pytest.mark.parametrize("kinds", [2, 3, 4, 5, 6])
def test_a_refused_column_costs_its_lines_whatever_kind_they_give_it(small: IngestLab, kinds: int) -> None:
    small.write("db", "a o=1,p=1,q=1 1")
    bad = ["a z=1,q=1 2", "a z=1u,q=1 2", "a,z=s q=1 2", "a z=true,q=1 2", 'a z="s",q=1 2', "a z=1i,q=1 2"][:kinds]
    body = "\n".join([*bad, "a q=2 3"])
    if kinds < 6:
        written = small.write("db", body)
        assert (written.rows, written.error_count) == (1, kinds)
        assert {error.error_message for error in written.errors} == {
            "Update to schema would exceed number of columns per table limit of 3 columns: column 'z' of table 'a'; "
            "raise it with --num-total-columns-per-table-limit"
        }
    else:
        with pytest.raises(LimitExceeded, match="column 'z' of table 'a'"):
            small.write("db", body)
    small.close()


def test_long_names_are_found_in_messages_that_cut_them(small: IngestLab) -> None:
    small.write("db", "a o=1,p=1,q=1 1")
    written = small.write("db", f"a {'z' * 300}=1 1\na {'z' * 300}y=1 1")
    assert all(error.error_message.startswith("Update to schema") for error in written.errors)
    assert written.error_count == 2
    small.close()


def test_reserved_columns_cost_their_lines(lab: IngestLab) -> None:
    written = lab.write("db", "a x=1 1\na __chunk_order=1i 2\na,__chunk_order=1 x=1 3")
    assert written.rows == 1
    assert {error.error_message for error in written.errors} == {"'__chunk_order' is a reserved column"}


def test_errors_of_the_parser_keep_their_message_beside_those_of_limits(small: IngestLab) -> None:
    small.write("db", "a x=1 1\nb x=1 1\nc x=1 1")
    written = small.write("db", "d x=1 1\nbad\na x=1i 1\nd x= 2\na x=4 4")
    assert written.rows == 1
    messages = [error.error_message for error in written.errors]
    assert [message.startswith("Update to schema") for message in messages] == [True, False, False, False]
    assert "'x'" in messages[2]
    small.close()


def test_a_line_that_only_a_refused_line_was_in_the_way_of_is_stored(small: IngestLab) -> None:
    small.write("db", "a p=1,q=1 1")
    # The second line's y is new as an integer but comes with z, which is one column too many.
    written = small.write("db", "a z=1,w=1 2\na w=1i 3\na w=2i 4")
    assert [error.line_number for error in written.errors] in ([1], [1, 2, 3])
    assert written.rows == 3 - written.error_count
    assert small.replayed().view == small.catalog.view
    small.close()


def test_a_table_part_beyond_a_limit_is_refused_as_a_whole(small: IngestLab) -> None:
    part = TablePart("db", "a", pa.record_batch({name: [1.0] for name in "wxyz"}), ())
    with pytest.raises(LimitExceeded, match="column 'z' of table 'a'") as caught:
        small.ingest.submit([part])
    assert caught.value.part is part
    with pytest.raises(InvalidName, match="a table name cannot be empty"):
        small.ingest.submit([TablePart("db", "", pa.record_batch({"x": [1.0]}), ())])
    assert not small.frames
    small.close()


TABLES = st.sampled_from(["a", "b", "c", "d"])
FIELDS = st.sampled_from(["x=1", "x=1i", "y=true", 'y="s"', "y=1u", "z=1", "z=1u", 'w="s"', "__chunk_order=1"])
LINES = st.builds(
    lambda table, tags, fields: f"{table}{tags} {','.join(fields)}",
    TABLES,
    st.sampled_from(["", ",t=1", ",u=1", ",t=1,u=2", ",z=3"]),
    st.lists(FIELDS, min_size=1, max_size=3, unique_by=lambda text: text[0]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(LINES, max_size=12), max_size=5))
def test_whatever_is_written_every_line_is_stored_or_reported(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[list[str]]
) -> None:
    limits = CatalogLimits(tables=3, columns_per_table=3, tags_per_table=1)
    lab = IngestLab(tmp_path_factory.mktemp("any"), limits)
    try:
        for body in bodies:
            before = sum(isinstance(entry, Rows) and entry.batch.num_rows for entry in lab.entries())
            try:
                written = lab.write("db", "\n".join(f"{line} {n}" for n, line in enumerate(body, 1)))
            except (LimitExceeded, InvalidName, InvalidLines):
                continue  # a column of all kinds there are, or bad lines that hide each other
            refused = {error.line_number for error in written.errors}
            assert len(refused) == written.error_count
            assert written.rows + written.error_count == len(body)
            stored = [entry.batch for entry in lab.entries() if isinstance(entry, Rows)]
            times = sorted(time.value // SECOND for batch in stored for time in batch.column("time"))[:]
            assert sum(batch.num_rows for batch in stored) == before + written.rows
            assert set(range(1, len(body) + 1)) - refused <= set(times)
        database = lab.catalog.view.database("db")
        if database is not None:
            assert len(database.tables) <= 3
            for table in database.tables.values():
                assert len(table.schema.columns) - 1 <= 3
                assert len(table.schema.tags) <= 1
        assert lab.replayed().view == lab.catalog.view
    finally:
        lab.close()


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("cpu,a=b x=1", "cpu"),
        ("cpu x=1", "cpu"),
        ("  cpu x=1", "cpu"),
        (r"a\ b\,c,t=1 x=1", "a b,c"),
        (r"a\b x=1", r"a\b"),
        ("a\\", "a\\"),
        ("", ""),
    ],
)
def test_the_table_of_a_line_is_what_stands_before_the_first_free_comma_or_space(line: str, name: str) -> None:
    assert measurement(line) == name


# Order, races, back pressure


def test_racing_first_writes_lose_nothing_and_replay_to_the_same_catalog(lab: IngestLab) -> None:
    threads, writes = 8, 25
    start = threading.Barrier(threads)

    def write(number: int) -> None:
        start.wait(10)
        for step in range(writes):
            lab.write(f"db{step % 2}", f"t{step % 5},tag{number}=v f{step % 7}={number} {number * 1000 + step}")

    workers = [threading.Thread(target=write, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    times = [
        time.value // SECOND
        for entry in lab.entries()
        if isinstance(entry, Rows)
        for time in entry.batch.column("time")
    ]
    assert sorted(times) == [number * 1000 + step for number in range(threads) for step in range(writes)]
    assert lab.replayed().view == lab.catalog.view
    assert lab.catalog.view.next.table == 1 + 10


def test_a_write_whose_catalog_changed_meanwhile_is_looked_at_again(lab: IngestLab) -> None:
    """Another write makes column x while this one, which takes x for another type, waits for the lock."""
    lab.write("db", "a y=1 1")
    outcome: list[int] = []
    with lab.catalog.lock:
        late = threading.Thread(target=lambda: outcome.append(lab.write("db", "a x=1i 2").error_count))
        late.start()
        # The late one has parsed and reserved room, or will see the new column right away: both must hold.
        lab.write("db", "a x=1.5 3")
    late.join(10)
    assert outcome == [1]
    assert [row.get("x") for row in lab.rows("db", "a")] == [None, 1.5]


def test_a_log_that_is_closed_leaves_the_catalog_as_it_was(tmp_path: Path) -> None:
    lab = IngestLab(tmp_path)
    lab.write("db", "a x=1 1")
    before = lab.catalog.view
    lab.close()
    for lines in ("a x=2 2", "b x=1 1"):
        with pytest.raises(WalClosed):
            lab.write("db", lines)
    with pytest.raises(WalClosed):
        lab.ingest.change(lambda catalog: [CreateDatabase(9, "x", 1)])
    assert lab.catalog.view is before
    assert lab.catalog.table_by_id(2) is None


def test_what_a_write_made_outlives_it_when_the_disk_is_full(tmp_path: Path) -> None:
    """The refused write's table is known already; the frame of the next write that succeeds brings it along."""
    disk = FaultyDisk()
    lab = IngestLab(tmp_path, disk=disk)
    disk.room = 0
    for database in ("one", "two"):
        with pytest.raises(WalFailed):
            lab.write(database, "a x=1 1")
    disk.room = None
    lab.write("two", "a x=2 2")
    assert [row["x"] for row in lab.rows("two", "a")] == [2.0]
    assert lab.replayed().view == lab.catalog.view
    assert not lab.rows("one", "a")
    lab.close()


def test_a_full_log_refuses_before_anything_is_made(tmp_path: Path) -> None:
    lab = IngestLab(tmp_path, queue_count=1)
    with lab.wal.reserve():
        for database in ("db", "other"):
            with pytest.raises(WalFull):
                lab.write(database, "a x=1 1", timeout=0.01)
    assert lab.catalog.view.database("db") is None
    assert lab.write("db", "a x=1 1").stored
    lab.close()


def test_rows_wait_for_memory_before_they_wait_for_anything_else(lab: IngestLab) -> None:
    asked: list[float | None] = []

    def admit(size: int, timeout: float | None) -> None:
        assert size > 0
        asked.append(timeout)
        raise BufferFull("no room")

    ingest = Ingest(lab.catalog, lab.wal, admit=admit)
    with pytest.raises(BufferFull):
        ingest.submit([LinesPart("db", b"a x=1 1")], timeout=0)
    assert ingest.submit([], cursor=CursorMove(1, 1)).future.result(10) == 1
    assert ingest.change(lambda _: [CreateDatabase(1, "db", 1)]).result(10) == 2
    assert asked == [0]
    assert lab.catalog.view.table("db", "a") is None


# Changes without rows


def test_a_change_is_planned_applied_and_logged_in_one_step(lab: IngestLab) -> None:
    def plan(catalog: Catalog) -> list[Record | CursorMove]:
        assert catalog is lab.catalog
        return [CursorMove(4, HERE), CreateDatabase(catalog.view.next.database, "db", 1)]

    assert lab.ingest.change(plan).result(10) == 1
    assert [type(entry) for entry in lab.entries()] == [CatalogChange, CursorMove]
    assert lab.catalog.database("db").id == 1


def test_a_plan_that_refuses_or_does_nothing_leaves_no_trace(lab: IngestLab) -> None:
    def refuse(_: Catalog) -> list[Record]:
        raise InvalidName("no")

    with pytest.raises(InvalidName):
        lab.ingest.change(refuse)
    assert lab.ingest.change(lambda _: []).result(10) == 0
    assert not lab.frames
