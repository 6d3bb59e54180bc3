"""The manifest: which files are live, and what the write-ahead log need not be replayed for.

This module alone defines, writes and reads the format. The manifest is a numbered series of objects
``NNNNNNNNNNNNNNNNNNNN.json`` under one prefix: a *base* holds everything, each *step* after it one
change. An object is created under the next number only if there is none yet, so that of two
processes one fails. A new base is written when the steps since the last one have grown as large as
it: a commit costs, on average, a few times what it changes, however many files there are.

An object is two lines of JSON. The first::

    {"format": "headrace manifest", "version": 1, "length": bytes, "crc32c": number}

describes the bytes that follow. The second, of a base::

    {"kind": "base", "number": n, "persisted_sequence": s, "cursors": {trigger id: sequence},
     "catalog": state, "profiles": [...], "files": {table id: [file, ...]}}

and of a step::

    {"kind": "step", "number": n, "persisted_sequence": s, "cursors": {...}, "records": [catalog change, ...],
     "profiles": [...], "added": {table id: [file, ...]}, "removed": {table id: [path, ...]}}

A file is ``[path, size, rows, min_time, max_time, sequence, profile]``; times are nanoseconds, and
``profile`` is a place in the object's ``profiles``: what many files share, ``{"columns": [...],
"tag_ranges": {tag: [least, greatest]}}``. ``cursors`` are always all there are. Every frame up to
``persisted_sequence`` is in the files, the catalog state with the records, and the cursors.

The newest object may be cut short by a power failure while it was being written; its commit had not
returned, so it is ignored and removed. Anything else that does not check is ManifestDamaged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import google_crc32c
import msgspec
import orjson
from headrace.storage.errors import ManifestConflict, ManifestDamaged, ManifestVersion
from headrace.storage.objects import Objects
from headrace.storage.snapshot import DataFile

logger = logging.getLogger(__name__)

FORMAT: Final = "headrace manifest"
VERSION: Final = 1
_MIN_BASE_BYTES: Final = 1 << 20

Files = Mapping[int, tuple[DataFile, ...]]


class _Header(msgspec.Struct, frozen=True):
    format: str
    version: int
    length: int
    crc32c: int


class _Profile(msgspec.Struct, frozen=True):
    columns: list[str]
    tag_ranges: dict[str, tuple[str, str]]


class _File(msgspec.Struct, frozen=True, array_like=True):
    path: str
    size: int
    rows: int
    min_time: int
    max_time: int
    sequence: int
    profile: int


class _Base(msgspec.Struct, frozen=True, tag_field="kind", tag="base"):
    number: int
    persisted_sequence: int
    cursors: dict[int, int]
    catalog: dict[str, Any]
    profiles: list[_Profile]
    files: dict[int, list[_File]]


class _Step(msgspec.Struct, frozen=True, tag_field="kind", tag="step"):
    number: int
    persisted_sequence: int
    cursors: dict[int, int]
    records: list[dict[str, Any]]
    profiles: list[_Profile]
    added: dict[int, list[_File]]
    removed: dict[int, list[str]]


_decoder: Final[msgspec.json.Decoder[_Base | _Step]] = msgspec.json.Decoder(_Base | _Step)


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit does."""

    persisted_sequence: int
    cursors: Mapping[int, int]
    records: Sequence[Mapping[str, Any]] = ()
    """Catalog changes up to ``persisted_sequence`` that no earlier commit had."""
    added: Files = field(default_factory=dict)
    removed: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """Paths."""


@dataclass(frozen=True, slots=True)
class ManifestState:
    """All that the manifest says."""

    persisted_sequence: int = 0
    cursors: Mapping[int, int] = field(default_factory=dict)
    files: Files = field(default_factory=dict)
    catalog: Mapping[str, Any] | None = None
    """The state the records apply to; None: the empty catalog."""
    records: Sequence[Mapping[str, Any]] = ()


class Manifest:
    """The manifest under ``prefix``. For one thread at a time."""

    def __init__(self, objects: Objects, prefix: str) -> None:
        self._objects = objects
        self._prefix = prefix
        self._number = 0
        self._base_bytes = 0
        self._step_bytes = 0
        self._doubtful = False
        self._conflict: ManifestConflict | None = None
        self.state = ManifestState()

    @classmethod
    def load(cls, objects: Objects, prefix: str) -> Manifest:
        """Read what is there; an absent manifest is an empty one. Changes nothing.

        Raises ManifestDamaged, ManifestVersion, OSError.
        """
        manifest = cls(objects, prefix)
        numbers = sorted(_number(path) for path, _ in objects.list(prefix) if path.endswith(".json"))
        parts: list[_Base | _Step] = []
        sizes: list[int] = []
        for number in reversed(numbers):
            data = objects.get(manifest._path(number))
            part = _decode(data, objects.root / manifest._path(number), newest=number == numbers[-1])
            if part is None:
                logger.warning("ignoring an unfinished manifest object: %s", manifest._path(number))
                continue
            if part.number != number or (parts and parts[-1].number != number + 1):
                raise ManifestDamaged(f"{objects.root / prefix}: manifest object {number + 1} is missing")
            parts.append(part)
            sizes.append(len(data))
            if isinstance(part, _Base):
                break
        if parts and not isinstance(parts[-1], _Base):
            raise ManifestDamaged(f"{objects.root / prefix} has no base for manifest object {parts[-1].number}")
        manifest._take(parts[::-1], sizes[::-1], numbers)
        return manifest

    def _take(self, parts: Sequence[_Base | _Step], sizes: Sequence[int], numbers: Sequence[int]) -> None:
        files: dict[int, dict[str, DataFile]] = {}
        profiles = _Profiles()
        records: list[Mapping[str, Any]] = []
        catalog: Mapping[str, Any] | None = None
        for part in parts:
            if isinstance(part, _Base):
                catalog = part.catalog
                added, removed = part.files, dict[int, list[str]]()
            else:
                records += part.records
                added, removed = part.added, part.removed
            for table_id, paths in removed.items():
                for path in paths:
                    if files.get(table_id, {}).pop(path, None) is None:
                        raise ManifestDamaged(f"manifest object {part.number} removes {path}, which was not live")
            shared = [profiles.shared(each.columns, each.tag_ranges) for each in part.profiles]
            for table_id, entries in added.items():
                own = files.setdefault(table_id, {})
                for entry in entries:
                    own[entry.path] = _data_file(entry, shared)
        if parts:
            self._number = parts[-1].number
            self._base_bytes, self._step_bytes = sizes[0], sum(sizes[1:])
            self.state = ManifestState(
                parts[-1].persisted_sequence,
                parts[-1].cursors,
                {table_id: tuple(own.values()) for table_id, own in files.items() if own},
                catalog,
                tuple(records),
            )
        self._doubtful = bool(numbers) and numbers[-1] > self._number

    def commit(self, change: Change, catalog: Callable[[], Mapping[str, Any]]) -> Files:
        """Make ``change`` durable in one atomic step; gives the files that are live from now on.

        ``catalog`` gives the catalog's state, which may be ahead of the change's sequence; it is asked for a base
        only. Raises OSError if the store refuses (nothing has changed, try again); ManifestConflict if another
        process has gone on from the same state, then and for ever.
        """
        if self._conflict is not None:
            raise self._conflict
        files = apply_change(self.state.files, change)
        number = self._number + 1
        path = self._path(number)
        if self._doubtful:
            # A put that failed may have left its object behind.
            self._objects.delete(path)
        rebase = self._base_bytes == 0 or self._step_bytes > max(_MIN_BASE_BYTES, self._base_bytes)
        state = catalog() if rebase else None
        data = encode_base(number, change, files, state) if state is not None else encode_step(number, change)
        try:
            self._objects.put_new(path, data)
        except ManifestConflict as error:
            self._conflict = error
            raise
        except BaseException:
            self._doubtful = True
            raise
        self._doubtful = False
        self._number = number
        if state is not None:
            self._base_bytes, self._step_bytes = len(data), 0
        else:
            self._step_bytes += len(data)
        # The catalog and its records are for start-up alone: not kept here.
        self.state = ManifestState(change.persisted_sequence, change.cursors, files)
        if rebase:
            self._remove_before(number)
        return files

    def _remove_before(self, number: int) -> None:
        for path, _ in list(self._objects.list(self._prefix)):
            if path.endswith(".json") and _number(path) < number:
                try:
                    self._objects.delete(path)
                except OSError as error:
                    logger.warning("a superseded manifest object stays: %s", error)

    def _path(self, number: int) -> str:
        return f"{self._prefix}/{number:020d}.json"


def apply_change(files: Files, change: Change) -> Files:
    """The live files after ``change``, those of tables that it does not touch being shared."""
    after = dict(files)
    for table_id in {*change.added, *change.removed}:
        gone = set(change.removed.get(table_id, ()))
        kept = files.get(table_id, ())
        if gone:
            kept = tuple(file for file in kept if file.path not in gone)
        after[table_id] = kept + tuple(change.added.get(table_id, ()))
        if not after[table_id]:
            del after[table_id]
    return after


def encode_base(number: int, change: Change, files: Files, catalog: Mapping[str, Any]) -> bytes:
    """The bytes of a base: ``files`` are all that are live after ``change``."""
    profiles = _Profiles()
    entries = {table_id: [_entry(file, profiles) for file in own] for table_id, own in files.items()}
    cursors = dict(change.cursors)
    return _encode(_Base(number, change.persisted_sequence, cursors, dict(catalog), profiles.encoded, entries))


def encode_step(number: int, change: Change) -> bytes:
    """The bytes of a step."""
    profiles = _Profiles()
    added = {table_id: [_entry(file, profiles) for file in own] for table_id, own in change.added.items()}
    removed = {table_id: list(paths) for table_id, paths in change.removed.items()}
    records = [dict(record) for record in change.records]
    return _encode(
        _Step(number, change.persisted_sequence, dict(change.cursors), records, profiles.encoded, added, removed)
    )


def _encode(part: _Base | _Step) -> bytes:
    body = msgspec.json.encode(part) + b"\n"
    crc = google_crc32c.value(body)
    header = orjson.dumps({"format": FORMAT, "version": VERSION, "length": len(body), "crc32c": crc})
    return header + b"\n" + body


def _decode(data: bytes, name: object, *, newest: bool) -> _Base | _Step | None:
    """An object's content; None if it is the newest one and was not written to its end."""
    first, _, body = data.partition(b"\n")
    if newest and not data.strip(b"\0"):
        return None
    try:
        header = msgspec.json.decode(first, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        if newest and b"\n" not in data:
            return None
        raise ManifestDamaged(f"{name}: not a manifest object: {error}") from error
    if header.format != FORMAT:
        raise ManifestDamaged(f"{name}: not a manifest object but {header.format!r}")
    if header.version != VERSION:
        raise ManifestVersion(f"{name} has format version {header.version}: this release reads {VERSION}")
    if newest and (len(body) < header.length or body.endswith(b"\0")):
        return None
    if len(body) != header.length or google_crc32c.value(body) != header.crc32c:
        raise ManifestDamaged(f"{name}: the content fails its CRC")
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ManifestDamaged(f"{name}: {error}") from error


class _Profiles:
    """The distinct pairs of columns and tag ranges, so that files can share them in memory and on disk."""

    def __init__(self) -> None:
        self.encoded: list[_Profile] = []
        self._places: dict[object, int] = {}
        self._shared: dict[object, tuple[frozenset[str], dict[str, tuple[str, str]]]] = {}

    def place(self, columns: frozenset[str], ranges: Mapping[str, tuple[str, str]]) -> int:
        key = (columns, tuple(sorted(ranges.items())))
        place = self._places.setdefault(key, len(self.encoded))
        if place == len(self.encoded):
            self.encoded.append(_Profile(sorted(columns), dict(ranges)))
        return place

    def shared(
        self, columns: Sequence[str], ranges: dict[str, tuple[str, str]]
    ) -> tuple[frozenset[str], dict[str, tuple[str, str]]]:
        names = frozenset(columns)
        return self._shared.setdefault((names, tuple(sorted(ranges.items()))), (names, ranges))


def _entry(file: DataFile, profiles: _Profiles) -> _File:
    profile = profiles.place(file.columns, file.tag_ranges)
    return _File(file.path, file.size, file.rows, file.min_time, file.max_time, file.sequence, profile)


def _data_file(entry: _File, shared: Sequence[tuple[frozenset[str], dict[str, tuple[str, str]]]]) -> DataFile:
    try:
        columns, ranges = shared[entry.profile]
    except IndexError as error:
        raise ManifestDamaged(f"the manifest names no profile {entry.profile} for {entry.path}") from error
    return DataFile(entry.path, entry.size, entry.rows, entry.min_time, entry.max_time, entry.sequence, columns, ranges)


def _number(path: str) -> int:
    name = path.rpartition("/")[2].removesuffix(".json")
    if not name.isdigit():
        raise ManifestDamaged(f"{path} is not a manifest object")
    return int(name)
