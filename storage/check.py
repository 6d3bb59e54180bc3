"""Is a store whole? Manifest against files, row counts, catalog, cursors and log. Reads only, changes nothing.

For a server that is not running. Each file's footer is read and compared with the manifest; with
``deep`` the rows too: their number, time range, order, and that none is there twice. The log itself
is :mod:`headrace.wal.check`'s business; here it matters only that it goes on where the files end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from headrace.storage.catalog import Catalog
from headrace.storage.catalog_records import decode_record
from headrace.storage.errors import StorageError
from headrace.storage.manifest import Manifest
from headrace.storage.objects import Objects
from headrace.storage.snapshot import DataFile
from headrace.wal.errors import HeadraceError
from headrace.wal.schema import TIME_COLUMN, TableSchema
from headrace.wal.segment import find_end, list_segments


@dataclass(frozen=True, slots=True)
class StoreFinding:
    """Something wrong, and where."""

    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


@dataclass(slots=True)
class StoreReport:
    """What a node's store holds, and what is wrong with it."""

    tables: int = 0
    files: int = 0
    rows: int = 0
    bytes: int = 0
    persisted_sequence: int = 0
    orphans: int = 0
    """Files that the manifest does not list: a killed process was writing them; the next start removes them."""
    findings: list[StoreFinding] = field(default_factory=list)


def check(directory: Path, *, deep: bool = False) -> list[StoreFinding]:
    """The findings of every node's store in ``directory``, a server's data directory."""
    nodes = sorted(path.parent.name for path in directory.glob("*/manifest") if path.is_dir())
    return [finding for node in nodes for finding in check_store(directory, node, deep=deep).findings]


def check_store(root: Path, node: str, *, deep: bool = False) -> StoreReport:
    """Check the store of one node. Raises OSError only if the directory cannot be read at all."""
    report = StoreReport()
    objects = Objects(root)
    try:
        manifest = Manifest.load(objects, f"{node}/manifest")
        state = manifest.state
        catalog = Catalog() if state.catalog is None else Catalog.from_state(state.catalog)
        catalog.apply_all([decode_record(record) for record in state.records])
    except (StorageError, OSError) as error:
        report.findings.append(StoreFinding(f"{root / node / 'manifest'}", str(error)))
        return report
    report.persisted_sequence = state.persisted_sequence
    report.findings += _check_log(root / node / "wal", state.persisted_sequence)
    newest = _last_sequence(root / node / "wal", state.persisted_sequence)
    log_triggers = {each.id: each for each in catalog.triggers() if not each.spec.startswith(("every:", "cron:"))}
    for trigger_id, cursor in state.cursors.items():
        if trigger_id in log_triggers and cursor > newest:
            name = log_triggers[trigger_id].name
            report.findings.append(
                StoreFinding(f"cursor of trigger {name}", f"is at frame {cursor}, but the log ends with frame {newest}")
            )
    live: set[str] = set()
    for table_id, files in state.files.items():
        report.tables += 1
        table = catalog.table_by_id(table_id)
        for file in files:
            report.files += 1
            report.rows += file.rows
            report.bytes += file.size
            if file.path in live:
                report.findings.append(StoreFinding(file.path, "is listed twice"))
            live.add(file.path)
            if file.sequence > state.persisted_sequence:
                report.findings.append(
                    StoreFinding(file.path, f"is newer than what is persisted: frame {file.sequence}")
                )
            schema = None if table is None else table.schema
            report.findings += [StoreFinding(file.path, each) for each in _check_file(root, file, schema, deep=deep)]
    report.orphans = sum(path not in live for path, _ in objects.list(f"{node}/dbs"))
    return report


def _check_log(directory: Path, persisted: int) -> Iterator[StoreFinding]:
    segments = list_segments(directory)
    if segments and segments[0].first > persisted + 1:
        yield StoreFinding(
            str(directory),
            f"begins with frame {segments[0].first}, but the files end with frame {persisted}: frames are missing",
        )


def _last_sequence(directory: Path, persisted: int) -> int:
    segments = list_segments(directory)
    try:
        return max(persisted, find_end(segments[-1]).next - 1) if segments else persisted
    except HeadraceError:
        return persisted


def _check_file(root: Path, file: DataFile, schema: TableSchema | None, *, deep: bool) -> Iterator[str]:
    path = root / file.path
    try:
        size = path.stat().st_size
    except OSError as error:
        yield f"cannot be found: {error.strerror}"
        return
    if size != file.size:
        yield f"has {size} bytes, the manifest says {file.size}"
        return
    try:
        with pq.ParquetFile(path) as parquet:
            yield from _check_footer(parquet, file, schema)
            if deep:
                yield from _check_rows(parquet.read(), file, schema)
    except (pa.ArrowException, OSError) as error:
        yield f"cannot be read: {error}"


def _check_footer(parquet: pq.ParquetFile, file: DataFile, schema: TableSchema | None) -> Iterator[str]:
    metadata = parquet.metadata
    if metadata.num_rows != file.rows:
        yield f"has {metadata.num_rows} rows, the manifest says {file.rows}"
    names = frozenset(parquet.schema_arrow.names)
    if names != file.columns:
        yield f"has the columns {sorted(names)}, the manifest says {sorted(file.columns)}"
    if schema is not None and (unknown := names - set(schema.columns)):
        yield f"has columns that table {schema.name} has not: {sorted(unknown)}"
    if TIME_COLUMN not in names:
        yield "has no time column"


def _check_rows(data: pa.Table, file: DataFile, schema: TableSchema | None) -> Iterator[str]:
    times = data.column(TIME_COLUMN).cast(pa.int64())
    bounds = pc.min_max(times).as_py()
    if (bounds["min"], bounds["max"]) != (file.min_time, file.max_time):
        yield f"has times from {bounds['min']} to {bounds['max']}, the manifest says {file.min_time} to {file.max_time}"
    for tag, (least, greatest) in file.tag_ranges.items():
        found = pc.min_max(data.column(tag).cast(pa.utf8())).as_py()
        if (found["min"], found["max"]) != (least, greatest):
            yield f"has values of tag {tag} from {found['min']!r} to {found['max']!r}, not {least!r} to {greatest!r}"
    if schema is None:
        return
    keys = [tag for tag in schema.tags if tag in data.column_names]
    plain = pa.table({**{tag: data.column(tag).cast(pa.utf8()) for tag in keys}, TIME_COLUMN: times})
    ordering = [(name, "ascending") for name in [*keys, TIME_COLUMN]]
    if not plain.equals(plain.take(pc.sort_indices(plain, sort_keys=ordering))):
        yield f"is not sorted by {', '.join([*keys, TIME_COLUMN])}"
    if plain.group_by([*keys, TIME_COLUMN]).aggregate([]).num_rows != data.num_rows:
        yield "has rows with the same tags and time"
