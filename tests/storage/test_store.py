"""The store as a whole, against a model: whatever is written, persisted and restarted, the same rows are there."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from headrace.storage import admin
from headrace.storage.errors import BufferFull, DatabaseNotFound, DiskFull, StorageError, StoreLocked
from headrace.storage.store import Store
from headrace.storage.store_settings import ObjectStoreKind, StoreSettings
from headrace.wal.entry import HERE, CursorMove
from headrace.wal.precision import Precision
from headrace.wal.writer import WalSettings
from hypothesis import HealthCheck
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.storage.ingest_lab import Clock
from tests.storage.store_lab import Model, contents, line, settings, table_contents

DB = "db"


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.open(settings(tmp_path)) as store:
        yield store


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MB, where this process may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    mounted = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=32m", "tmpfs", disk], capture_output=True)
    if not mounted or mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def put(store: Store, lines: bytes) -> None:
    store.write(DB, lines, precision=Precision.NANOSECOND)


def rows(store: Store) -> Any:
    return contents(store.snapshot(DB), store.data_root)


TAGS = st.dictionaries(st.sampled_from(["host", "rack", "zone"]), st.sampled_from(["a", "b", "ä"]), max_size=3)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "i": st.integers(-(2**63), 2**63 - 1),
        "f": st.floats(allow_nan=False, allow_infinity=False),
        "b": st.booleans(),
        "s": st.text("xyz ", max_size=5),
    },
).filter(bool)
TIMES = st.one_of(st.integers(0, 3), st.integers(0, 5).map(lambda n: n * 599_999_999_999), st.integers(-(2**62), 2**62))
ROW = st.tuples(st.sampled_from(["cpu", "mem"]), TAGS, FIELDS, TIMES)


class StoreMachine(RuleBasedStateMachine):
    """Writes, persists, restarts and snapshots in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="headrace-test-"))
        self.model = Model()
        self.held: list[tuple[Any, dict[str, Any]]] = []

    @initialize()
    def open(self) -> None:
        self.store = Store.open(settings(self.directory, gen1_ns=600 * 10**9, max_files_per_persist=3))
        admin.create_database(self.store.ingest, DB)

    @rule(written=st.lists(ROW, min_size=1, max_size=8))
    def write(self, written: list[Any]) -> None:
        put(self.store, "\n".join(line(*row) for row in written).encode())
        for row in written:
            self.model.write(*row)

    @rule()
    def persist(self) -> None:
        self.store.persist()

    @rule()
    def compact(self) -> None:
        self.store.compact()

    @rule()
    def restart(self) -> None:
        self.held.clear()
        self.store.close()
        self.open_again()

    @rule()
    def crash(self) -> None:
        """What a killed process leaves: the directory as it is."""
        copy = Path(tempfile.mkdtemp(prefix="headrace-test-"))
        shutil.copytree(self.directory, copy, dirs_exist_ok=True)
        self.held.clear()
        self.store.close()
        shutil.rmtree(self.directory)
        self.directory = copy
        self.open_again()

    def open_again(self) -> None:
        self.store = Store.open(settings(self.directory, max_files_per_persist=3))

    @rule(look=st.booleans())
    def hold_a_snapshot(self, look: bool) -> None:
        snapshot = self.store.snapshot(DB)
        expected = {name: {key: dict(row) for key, row in table.items()} for name, table in self.model.tables.items()}
        if look:
            self.held.append((snapshot, expected))
        else:
            assert contents(snapshot, self.store.data_root) == expected

    @invariant()
    def a_snapshot_stays_as_it_was(self) -> None:
        for snapshot, expected in self.held[-2:]:
            assert {name: {k: dict(v) for k, v in t.items()} for name, t in self.seen(snapshot).items()} == expected

    def seen(self, snapshot: Any) -> dict[str, Any]:
        return contents(snapshot, self.store.data_root)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert rows(self.store) == self.model.tables
            self.store.close()
        shutil.rmtree(self.directory, ignore_errors=True)


StoreMachine.TestCase.settings = examples(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestStoreMachine = StoreMachine.TestCase


def test_the_newest_value_wins_per_field_wherever_the_row_lies(store: Store) -> None:
    put(store, b"cpu,host=a x=1,y=1 1000000000000000001")
    store.persist()
    put(store, b"cpu,host=a y=2 1000000000000000001\ncpu,host=a z=3 1000000000000000001")
    assert rows(store)["cpu"] == {(frozenset({("host", "a")}), 10**18 + 1): {"x": 1.0, "y": 2.0, "z": 3.0}}


def test_rows_of_a_time_partition_share_a_file_and_no_other(store: Store) -> None:
    minute = 60 * 10**9
    put(store, "\n".join(line("cpu", {}, {"x": n}, n * minute) for n in range(25)).encode())
    store.persist()
    files = store.snapshot(DB).tables["cpu"].files
    assert [file.rows for file in files] == [10, 10, 5]
    assert files[1].path.endswith("/1970-01-01/00-10/00000000000000000001.parquet")


def test_scattered_timestamps_do_not_make_files_without_bound(tmp_path: Path) -> None:
    day = 86_400 * 10**9
    with Store.open(settings(tmp_path, max_files_per_persist=8)) as store:
        old = [line("cpu", {}, {"x": n}, n * day) for n in range(5_000)]
        dense = [line("cpu", {}, {"x": n}, 6_000 * day + n * 10**9) for n in range(1_800)]
        put(store, "\n".join(old + dense).encode())
        store.persist()
        files = store.snapshot(DB).tables["cpu"].files
        assert len(files) <= 8
        assert [file.rows for file in files][-2:] == [600, 600], "the dense present keeps its narrow files"


def test_a_snapshot_is_one_instant_over_all_tables(store: Store) -> None:
    admin.create_database(store.ingest, DB)
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            put(store, f"a x={n}i {n}\nb x={n}i {n}".encode())
            if n % 40 == 0:
                store.persist()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            snapshot = store.snapshot(DB)
            if len(snapshot.tables) == 2:
                counts = [len(table_contents(table, store.data_root)) for table in snapshot.tables.values()]
                assert counts[0] == counts[1]
    finally:
        stop.set()
        writer.join()


def test_everything_acknowledged_is_seen_while_rows_move_to_files(tmp_path: Path) -> None:
    """Threads overwrite their own rows, so that a lost, doubled or overtaken write shows as an old value."""
    acknowledged = [-1] * 3
    errors: list[BaseException] = []

    def write(thread: int, store: Store) -> None:
        try:
            for n in range(250):
                put(
                    store,
                    f"cpu,thread={thread} last={n}i,n{n % 3}={n}i 5\ncpu,thread={thread} n={n}i {n % 20}".encode(),
                )
                acknowledged[thread] = n
        except BaseException as error:
            errors.append(error)

    with Store.open(settings(tmp_path, gen1_ns=7)) as store:
        put(store, b"cpu last=0i 1")
        writers = [threading.Thread(target=write, args=(n, store)) for n in range(3)]
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            before = list(acknowledged)
            seen = rows(store)["cpu"]
            for thread, least in enumerate(before):
                found = seen.get((frozenset({("thread", str(thread))}), 5), {"last": -1})
                assert found["last"] >= least
            store.persist()
            store.compact()
            store._keeper.sweep()
        assert errors == []
        model = Model()
        model.write("cpu", {}, {"last": 0}, 1)
        for thread in range(3):
            for n in range(250):
                model.write("cpu", {"thread": str(thread)}, {"last": n, f"n{n % 3}": n}, 5)
                model.write("cpu", {"thread": str(thread)}, {"n": n}, n % 20)
        assert rows(store) == model.tables
    with Store.open(settings(tmp_path)) as store:
        assert rows(store) == model.tables


def test_a_file_is_deleted_once_no_snapshot_has_it(tmp_path: Path) -> None:
    clock = Clock()
    with Store.open(settings(tmp_path, retention_interval=0.0), clock=clock) as store:
        admin.create_database(store.ingest, DB, retention_ns=10**9)
        put(store, f"cpu x=1 {clock.now}".encode())
        store.persist()
        snapshot = store.snapshot(DB).tables["cpu"]
        path = tmp_path / snapshot.files[0].path
        clock.now += 5 * 10**9
        wait_for(lambda: not store.files())
        assert store.snapshot(DB).tables["cpu"].files == ()
        time.sleep(0.1)
        assert path.exists()
        del snapshot
        wait_for(lambda: not path.exists())


def test_expired_rows_are_announced_by_a_cutoff(tmp_path: Path) -> None:
    clock = Clock()
    with Store.open(settings(tmp_path), clock=clock) as store:
        admin.create_database(store.ingest, DB, retention_ns=10**9)
        put(store, f"cpu x=1 {clock.now}".encode())
        assert store.snapshot(DB).tables["cpu"].min_time_ns == clock.now - 10**9


def test_a_deleted_table_is_out_of_sight_at_once_and_its_files_go_with_hard_deletion(tmp_path: Path) -> None:
    clock = Clock()
    with Store.open(settings(tmp_path, retention_interval=0.0), clock=clock) as store:
        put(store, b"cpu x=1 1\nmem x=1 1")
        store.persist()
        put(store, b"cpu x=2 2")
        admin.delete_table(store.ingest, DB, "cpu", clock.now + 10)
        assert list(store.snapshot(DB).tables) == ["mem"]
        assert len(store.files()) == 2
        clock.now += 20
        wait_for(lambda: len(store.files()) == 1)
        store.persist()
        assert len(store.files()) == 1
    with Store.open(settings(tmp_path), clock=clock) as store:
        assert list(rows(store)) == ["mem"]


def test_the_catalog_and_the_cursors_survive_with_and_without_a_persist(tmp_path: Path) -> None:
    with Store.open(settings(tmp_path)) as store:
        put(store, b"cpu,host=a x=1 1")
        trigger = admin.create_trigger(store.ingest, DB, "t", plugin_path="p.py", spec="all_tables")
        store.persist()
        moved = store.ingest.submit([], cursor=CursorMove(trigger.id, HERE))
        sequence = moved.future.result(10)
        store.wal.submit([CursorMove(99, 5)]).result(10)
        copy = tmp_path.parent / f"{tmp_path.name}-copy"
        shutil.copytree(tmp_path, copy)
        assert store.cursor(trigger.id) == sequence
    with Store.open(settings(copy)) as store:
        assert store.cursor(trigger.id) == sequence
        assert store.catalog.trigger(DB, "t") == trigger
    with Store.open(settings(tmp_path)) as store:
        assert store.cursor(trigger.id) == sequence
        assert store.cursor(99) is None, "the cursor of a trigger that does not exist is not kept"
        store.pin(trigger.id, sequence + 7)
        assert store.cursor(trigger.id) == sequence + 7


def test_the_log_is_kept_for_a_trigger_up_to_the_bound(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = WalSettings(preallocate=False, segment_bytes=4096)
    with Store.open(settings(tmp_path, wal=log, wal_retention_bytes=40_000)) as store:
        put(store, b"cpu x=1 1")
        trigger = admin.create_trigger(store.ingest, DB, "slow", plugin_path="p.py", spec="table:cpu")
        first = store.cursor(trigger.id)
        assert first is not None
        for n in range(8):
            put(store, f"cpu x=1 {n}".encode())
        store.persist()
        assert len(store.read(first, limit_bytes=1 << 20)) == 8
        assert [hold.name for hold in store.wal_holds()] == ["db.slow"]
        for n in range(100):
            put(store, f"cpu x=1 {n}".encode())
        store.persist()
        assert store.wal.size_bytes <= 40_000
        assert store.wal.first_retained_sequence > first + 1
        assert "db.slow" in caplog.text


def test_writes_are_refused_while_memory_is_full_and_taken_again_after(tmp_path: Path) -> None:
    limits = {"buffer_limit_bytes": 200_000, "buffer_wait": 0.0, "persist_buffer_bytes": 1 << 40}
    with Store.open(settings(tmp_path, **limits)) as store:
        while store.buffer_bytes < 200_000:
            put(store, b"cpu x=1 1")
        with pytest.raises(BufferFull):
            put(store, b"cpu x=1 2")
        store.persist()
        put(store, b"cpu x=1 99999")


def test_writes_are_refused_while_the_disk_is_short_and_what_there_is_stays_readable(tmp_path: Path) -> None:
    with Store.open(settings(tmp_path, disk_reserve_bytes=0)) as store:
        put(store, b"cpu x=1 1")
        before = rows(store)
    with Store.open(settings(tmp_path, disk_reserve_bytes=1 << 62)) as store:
        with pytest.raises(DiskFull, match="disk of the data directory is full"):
            put(store, b"cpu x=1 2")
        assert rows(store) == before
        admin.create_database(store.ingest, "other")


def test_a_log_that_fills_the_disk_leaves_room_for_the_persist_that_frees_it(small_disk: Path) -> None:
    log = WalSettings(preallocate=False, segment_bytes=1 << 20)
    with Store.open(settings(small_disk, wal=log, persist_wal_bytes=1 << 40)) as store:
        body = "\n".join(f"cpu,host=a x={n}i {n}" for n in range(10_000)).encode()
        refused = 0
        for _ in range(400):  # four times as much as the disk takes
            try:
                put(store, body)
            except DiskFull:
                refused += 1
                wait_for(lambda: store.persisted_sequence > 0 and store.buffer_bytes == 0)
        assert refused
        assert store.persist_failure is None


def test_a_persist_that_the_disk_refuses_is_one_line_in_the_log(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = WalSettings(preallocate=False)
    with Store.open(settings(small_disk, wal=log, persist_age=0.01, disk_reserve_bytes=0, retry_pause=0.01)) as store:
        filler = small_disk / "filler"
        space = os.statvfs(small_disk)
        filler.write_bytes(b"x" * (space.f_bavail * space.f_frsize - (64 << 10)))
        put(store, "\n".join(f'cpu s="{random.randbytes(500).hex()}" {n}' for n in range(50)).encode())
        wait_for(lambda: "persist failed" in caplog.text)
        filler.unlink()
        wait_for(lambda: store.persisted_sequence == 1)
    failures = [record for record in caplog.records if "persist failed" in record.getMessage()]
    assert all("\n" not in record.getMessage() and record.exc_info is None for record in failures)
    assert "No space left on device" in failures[0].getMessage()


def test_a_write_that_passes_the_threshold_is_persisted_by_itself(tmp_path: Path) -> None:
    with Store.open(settings(tmp_path, persist_wal_bytes=1)) as store:
        put(store, b"cpu x=1 1")
        wait_for(lambda: store.persisted_sequence == 1)
    with Store.open(settings(tmp_path, persist_age=0.01)) as store:
        put(store, b"cpu x=1 2")
        wait_for(lambda: store.persisted_sequence == 2)


def test_closing_persists(tmp_path: Path) -> None:
    with Store.open(settings(tmp_path)) as store:
        put(store, b"cpu x=1 1")
    with Store.open(settings(tmp_path)) as store:
        assert store.persisted_sequence == 1
        assert store.snapshot(DB).tables["cpu"].memory == ()


def test_a_second_store_in_the_directory_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreLocked):
        Store.open(settings(tmp_path))


def test_a_store_in_memory_leaves_nothing_behind() -> None:
    with Store.open(StoreSettings(object_store=ObjectStoreKind.MEMORY)) as store:
        put(store, b"cpu x=1 1")
        store.persist()
        assert len(rows(store)["cpu"]) == 1
        root = store.data_root
    assert not root.exists()


def test_a_store_of_files_needs_a_directory() -> None:
    with pytest.raises(StorageError, match="data directory"):
        Store.open(StoreSettings())


def test_a_snapshot_of_an_unknown_database_is_refused(store: Store) -> None:
    with pytest.raises(DatabaseNotFound):
        store.snapshot("nope")


def test_many_one_line_writes_become_few_batches(store: Store) -> None:
    for n in range(700):
        put(store, f"cpu,host=h{n % 7} x={n} {n}".encode())
    table = store.snapshot(DB).tables["cpu"]
    assert sum(batch.num_rows for batch in table.memory) == 700
    assert len(table.memory) <= 10
    assert all(isinstance(batch, pa.RecordBatch) for batch in table.memory)


def wait_for(condition: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
