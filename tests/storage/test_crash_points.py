"""A process may be killed between any two steps: each leaves a directory that starts with exactly the same rows.

The directory is copied before and after every change to the object store, which is where a kill
could make a difference, and a store is opened on each copy.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from headrace.storage import objects
from headrace.storage import store as store_module
from headrace.storage.objects import Objects
from headrace.storage.store import Store
from headrace.wal.precision import Precision

from tests.storage.store_lab import contents, settings

DB = "db"


class Recorder:
    """Copies the directory around each step of the object store."""

    def __init__(self, source: Path, target: Path) -> None:
        self.source = source
        self.target = target
        self.recording = False
        self.copies: list[Path] = []

    def around(self, step: Callable[[], Any]) -> Any:
        self.copy()
        try:
            return step()
        finally:
            self.copy()

    def copy(self) -> None:
        if self.recording:
            self.copies.append(self.target / str(len(self.copies)))
            shutil.copytree(self.source, self.copies[-1])


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder(tmp_path / "data", tmp_path / "copies")

    class RecordedObjects(Objects):
        def _put(self, path: str, data: bytes | memoryview, *, new: bool) -> None:
            recorder.around(lambda: super(RecordedObjects, self)._put(path, data, new=new))

        def delete(self, path: str) -> None:
            recorder.around(lambda: super(RecordedObjects, self).delete(path))

    monkeypatch.setattr(store_module, "Objects", RecordedObjects)
    monkeypatch.setattr(objects, "_sync", lambda path: recorder.copy())
    return recorder


def put(store: Store, lines: str) -> None:
    store.write(DB, lines.encode(), precision=Precision.NANOSECOND)


def verify(recorder: Recorder, expected: Any) -> int:
    """Opens every copy; gives their number."""
    for copy in recorder.copies:
        with Store.open(settings(copy)) as store:
            assert contents(store.snapshot(DB), copy) == expected, copy
            live = {file.path for own in store.files().values() for file in own}
            assert {str(path.relative_to(copy)) for path in copy.rglob("*.parquet")} == live
            assert not list(copy.rglob("*#*"))
        shutil.rmtree(copy)
    return len(recorder.copies)


def test_a_kill_during_a_persist_loses_and_doubles_nothing(recorder: Recorder) -> None:
    with Store.open(settings(recorder.source)) as store:
        put(store, "cpu,host=a x=1 1\ncpu,host=b x=1 700000000000\nmem x=1i 1")
        store.persist()
        put(store, 'cpu,host=a x=2,y=1 1\ncpu,host=c x=1 700000000001\nnew s="t" 5')
        expected = contents(store.snapshot(DB), store.data_root)
        recorder.recording = True
        store.persist()
        recorder.recording = False
        assert contents(store.snapshot(DB), store.data_root) == expected
    assert verify(recorder, expected) > 8


def test_a_kill_during_a_compaction_loses_and_doubles_nothing(recorder: Recorder) -> None:
    with Store.open(settings(recorder.source)) as store:
        for n in range(5):
            put(store, f"cpu,host=a x={n},f{n}=1 1\ncpu,host=a x={n} {n}")
            store.persist()
        expected = contents(store.snapshot(DB), store.data_root)
        recorder.recording = True
        assert store.compact() == 1
        recorder.recording = False
        assert [len(files) for files in store.files().values()] == [1]
        assert contents(store.snapshot(DB), store.data_root) == expected
    assert verify(recorder, expected) > 4


def test_a_persist_that_fails_at_any_step_can_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at = 0
    steps = 0

    class FailingObjects(Objects):
        def _put(self, path: str, data: bytes | memoryview, *, new: bool) -> None:
            nonlocal steps
            steps += 1
            if steps == fail_at:
                raise OSError("no space left on device")
            super()._put(path, data, new=new)
            steps += 1
            if steps == fail_at:
                # The object is there, but nobody could be told.
                raise OSError("input/output error")

    monkeypatch.setattr(store_module, "Objects", FailingObjects)
    for fail_at in range(1, 100):
        steps = 0
        with Store.open(settings(tmp_path / str(fail_at))) as store:
            put(store, "cpu,host=a x=1 1\ncpu,host=b x=1 700000000000\nmem x=1i 1")
            expected = contents(store.snapshot(DB), store.data_root)
            try:
                store.persist()
            except OSError:
                assert store.persist_failure
                left = {path.name for path in (tmp_path / str(fail_at)).rglob("*.parquet")}
                assert not left or fail_at > 6, "a failed attempt takes its files back, up to the manifest's commit"
                assert contents(store.snapshot(DB), store.data_root) == expected
                put(store, "cpu,host=a y=2 1")
                expected = contents(store.snapshot(DB), store.data_root)
                store.persist()
                assert store.persist_failure is None
            else:
                break
            assert contents(store.snapshot(DB), store.data_root) == expected
            assert sum(len(own) for own in store.files().values()) == 3
        with Store.open(settings(tmp_path / str(fail_at))) as store:
            assert contents(store.snapshot(DB), store.data_root) == expected
    assert fail_at == 9
