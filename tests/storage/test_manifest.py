"""The manifest: what is committed is read back, whatever was cut short is not, damage is named.

``python -m tests.storage.test_manifest`` writes the golden files anew, for a new version of the format.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from headrace.storage import manifest as manifest_module
from headrace.storage.errors import ManifestConflict, ManifestDamaged, ManifestVersion
from headrace.storage.manifest import Change, Manifest, ManifestState
from headrace.storage.objects import Objects
from headrace.storage.snapshot import DataFile
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

GOLDEN = Path(__file__).parent / "golden"
PREFIX = "manifest-v1"
CATALOG: Mapping[str, Any] = {"v": 1, "next": {"database": 2, "table": 3, "token": 1, "trigger": 1}, "records": []}
RECORD = {"v": 1, "kind": "create_database", "id": 2, "name": "ünï", "created_ns": 5, "retention_ns": None}


def file(name: str, sequence: int = 1, **changes: Any) -> DataFile:
    values = {"size": 10, "rows": 2, "min_time": -5, "max_time": 2**62, "columns": frozenset({"time", "x"})}
    return DataFile(path=name, sequence=sequence, **{**values, **changes})


FIRST = Change(7, {3: 6, 4: 2**63}, (), {1: (file("a", tag_ranges={"host": ("a", "ö")}), file("b")), 2: (file("c"),)})
SECOND = Change(9, {3: 8}, (RECORD,), {1: (file("d", 9),)}, {1: ("a",), 2: ("c",)})


def write(objects: Objects, prefix: str = PREFIX) -> Manifest:
    manifest = Manifest.load(objects, prefix)
    manifest.commit(FIRST, lambda: CATALOG)
    manifest.commit(SECOND, lambda: CATALOG)
    return manifest


def load(root: Path) -> ManifestState:
    return Manifest.load(Objects(root), PREFIX).state


EXPECTED = ManifestState(9, {3: 8}, {1: (file("b"), file("d", 9))}, CATALOG, (RECORD,))


def test_the_golden_manifest_of_version_1_reads_as_it_was_written() -> None:
    assert load(GOLDEN) == EXPECTED


def test_the_format_does_not_change_unnoticed(tmp_path: Path) -> None:
    write(Objects(tmp_path))
    for golden in (GOLDEN / PREFIX).iterdir():
        assert (tmp_path / PREFIX / golden.name).read_bytes() == golden.read_bytes()


def test_what_is_committed_is_read_back(tmp_path: Path) -> None:
    written = write(Objects(tmp_path))
    assert load(tmp_path) == EXPECTED
    assert written.state.files == EXPECTED.files


def test_an_absent_manifest_is_empty(tmp_path: Path) -> None:
    assert load(tmp_path) == ManifestState()


def test_files_with_the_same_columns_share_them_in_memory(tmp_path: Path) -> None:
    write(Objects(tmp_path))
    b, d = load(tmp_path).files[1]
    assert b.columns is d.columns
    assert b.tag_ranges is d.tag_ranges


def test_of_two_processes_one_is_refused(tmp_path: Path) -> None:
    one, two = (Manifest.load(Objects(tmp_path), PREFIX) for _ in range(2))
    one.commit(FIRST, lambda: CATALOG)
    for _ in range(2):
        with pytest.raises(ManifestConflict):
            two.commit(SECOND, lambda: CATALOG)
    one.commit(SECOND, lambda: CATALOG)
    assert load(tmp_path) == EXPECTED


@examples(max_examples=30, deadline=None)
@given(cut=st.integers(0, 10_000))
def test_the_newest_object_cut_short_anywhere_is_ignored_and_written_again(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    root = tmp_path_factory.mktemp("cut")
    write(Objects(root))
    newest = root / PREFIX / f"{2:020d}.json"
    data = newest.read_bytes()
    cut %= len(data)
    for torn in (data[:cut], data[:cut] + bytes(len(data) - cut)):
        newest.write_bytes(torn)
        manifest = Manifest.load(Objects(root), PREFIX)
        assert manifest.state.persisted_sequence == 7
        assert manifest.state.files == FIRST.added
        manifest.commit(SECOND, lambda: CATALOG)
        assert load(root) == EXPECTED


@examples(max_examples=60, deadline=None)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), number=st.integers(1, 2))
@example(at=11, bit=7, number=1)  # no longer UTF-8
def test_a_flipped_bit_is_never_taken_for_a_manifest(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int, number: int
) -> None:
    root = tmp_path_factory.mktemp("flip")
    write(Objects(root))
    path = root / PREFIX / f"{number:020d}.json"
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 << bit
    path.write_bytes(data)
    try:
        state = load(root)
    except (ManifestDamaged, ManifestVersion):
        return
    # A length that grew looks like an object that was cut short; a changed name of a field is no field.
    assert number == 2
    assert state.persisted_sequence in (7, 9)


def test_a_missing_object_is_damage(tmp_path: Path) -> None:
    manifest = write(Objects(tmp_path))
    manifest.commit(Change(10, {}), lambda: CATALOG)
    (tmp_path / PREFIX / f"{2:020d}.json").unlink()
    with pytest.raises(ManifestDamaged, match="object 2 is missing"):
        load(tmp_path)
    (tmp_path / PREFIX / f"{1:020d}.json").unlink()
    with pytest.raises(ManifestDamaged, match="no base"):
        load(tmp_path)


def test_a_newer_version_is_named(tmp_path: Path) -> None:
    write(Objects(tmp_path))
    path = tmp_path / PREFIX / f"{2:020d}.json"
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2', 1))
    with pytest.raises(ManifestVersion, match="version 2"):
        load(tmp_path)


def test_a_step_is_small_and_a_base_is_written_when_steps_have_grown_as_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_module, "_MIN_BASE_BYTES", 0)
    manifest = Manifest.load(Objects(tmp_path), PREFIX)
    manifest.commit(Change(1, {}, (), {1: tuple(file(f"old{n}") for n in range(1_000))}), lambda: CATALOG)
    base = (tmp_path / PREFIX / f"{1:020d}.json").stat().st_size
    written = 0
    for n in range(2, 2_000):
        manifest.commit(Change(n, {}, (), {1: (file(f"new{n}", n),)}), lambda: CATALOG)
        written += (tmp_path / PREFIX / f"{n:020d}.json").stat().st_size
        if len(list((tmp_path / PREFIX).iterdir())) == 1:
            break
    assert written < 4 * base
    assert len(load(tmp_path).files[1]) == 1_000 + n - 1
    assert load(tmp_path).files == manifest.state.files


def test_after_a_put_that_failed_the_same_number_is_used_again(tmp_path: Path) -> None:
    class Lossy(Objects):
        def put_new(self, path: str, data: bytes | memoryview) -> None:
            super().put_new(path, data)
            raise OSError("input/output error")

    write(Objects(tmp_path))
    manifest = Manifest.load(Lossy(tmp_path), PREFIX)
    with pytest.raises(OSError, match="input/output"):
        manifest.commit(Change(11, {}), lambda: CATALOG)
    assert manifest.state.persisted_sequence == 9
    manifest._objects = Objects(tmp_path)
    manifest.commit(Change(12, {}), lambda: CATALOG)
    assert load(tmp_path).persisted_sequence == 12


if __name__ == "__main__":
    shutil.rmtree(GOLDEN / PREFIX, ignore_errors=True)
    write(Objects(GOLDEN))
