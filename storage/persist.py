"""From rows in memory to Parquet files: one table, then one file, at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from headrace.storage.objects import Draft
from headrace.storage.parquet import TableEncoder
from headrace.storage.partition import partition_rows
from headrace.storage.snapshot import DataFile
from headrace.storage.sort import series_ranks, sorted_rows, split_by_group
from headrace.storage.table_buffer import TableRows
from headrace.wal.schema import TableSchema

_SECOND_NS: Final = 10**9


def write_table(
    draft: Draft,
    directory: str,
    rows: TableRows,
    schema: TableSchema,
    *,
    sequence: int,
    gen1_ns: int,
    max_files: int,
    suffix: str = "",
) -> list[DataFile]:
    """Write the live rows of a table to files below ``directory``; gives them in time order.

    A file's path is ``directory/YYYY-MM-DD/HH-MM/SEQUENCE.parquet``, the time being the start of its
    partition, with ``suffix`` after the sequence. A file is durable once the draft is synced, and means
    nothing until the manifest lists it. Memory taken: the columns of one file's slice, the file's
    bytes, and eight bytes a row. Raises OSError.
    """
    groups, group_of = partition_rows(rows.times, rows.live, gen1_ns, max_files)
    in_schema = [rows.tags.index(tag) for tag in schema.tags if tag in rows.tags]
    order = sorted_rows(series_ranks(rows.keys, rows.values, in_schema), rows.series, rows.times, rows.live)
    parts = split_by_group(order, group_of, len(groups))
    del order, group_of
    encoder = TableEncoder(rows, schema)
    files: list[DataFile] = []
    taken: set[str] = set()
    for index, group in enumerate(groups):
        encoded = encoder.encode(parts[index])
        place = f"{directory}/{_time_path(group.first * gen1_ns)}/{sequence:020d}{suffix}"
        if place in taken:
            # Partitions narrower than a minute share a directory.
            place = f"{place}-{index}"
        taken.add(place)
        path = f"{place}.parquet"
        draft.put(path, memoryview(encoded.data).cast("B"))
        files.append(
            DataFile(
                path,
                encoded.data.size,
                encoded.rows,
                encoded.min_time,
                encoded.max_time,
                sequence,
                encoded.columns,
                encoded.tag_ranges,
            )
        )
    return files


def _time_path(start_ns: int) -> str:
    return f"{datetime.fromtimestamp(start_ns // _SECOND_NS, UTC):%Y-%m-%d/%H-%M}"
