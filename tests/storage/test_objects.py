from __future__ import annotations

import threading
from pathlib import Path

import pytest
from headrace.storage.errors import ManifestConflict
from headrace.storage.objects import Draft, Objects


def test_what_is_put_can_be_got_listed_and_deleted(tmp_path: Path) -> None:
    objects = Objects(tmp_path)
    objects.put("a/b/c", b"one")
    objects.put("a/b/c", memoryview(b"two!"))
    assert objects.get("a/b/c") == b"two!"
    assert list(objects.list("a")) == [("a/b/c", 4)]
    objects.delete("a/b/c")
    objects.delete("a/b/c")
    assert list(objects.list("a")) == []
    assert list(tmp_path.iterdir()) == [], "empty directories go too"
    with pytest.raises(FileNotFoundError):
        objects.get("a/b/c")


def test_only_one_can_put_a_new_object(tmp_path: Path) -> None:
    Objects(tmp_path).put_new("n", b"1")
    with pytest.raises(ManifestConflict):
        Objects(tmp_path).put_new("n", b"2")
    assert Objects(tmp_path).get("n") == b"1"


@pytest.mark.parametrize("count", [3, 100])
def test_a_draft_is_synced_as_a_whole_or_taken_back(tmp_path: Path, count: int) -> None:
    objects = Objects(tmp_path)
    draft = Draft(objects)
    for n in range(count):
        draft.put(f"d{n % 5}/{n}", b"x")
    draft.sync()
    assert len(list(objects.list(""))) == count
    draft.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_of_the_disk_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a file where a directory should be")
    with pytest.raises(OSError):
        Objects(tmp_path).put("a/b", b"x")


def test_unfinished_objects_are_removed(tmp_path: Path) -> None:
    objects = Objects(tmp_path)
    objects.put("node/a.parquet", b"x")
    (tmp_path / "node" / "b.parquet#1").write_bytes(b"half")
    (tmp_path / "node" / "kept#name").write_bytes(b"")
    assert objects.remove_unfinished("node") == 1
    assert sorted(path.name for path in (tmp_path / "node").iterdir()) == ["a.parquet", "kept#name"]


def test_deleting_does_not_take_the_directory_from_under_a_put(tmp_path: Path) -> None:
    objects = Objects(tmp_path)
    errors: list[Exception] = []

    def churn(name: str) -> None:
        try:
            for _ in range(60):
                objects.put(f"d/{name}", b"x")
                objects.delete(f"d/{name}")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=churn, args=(f"{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
