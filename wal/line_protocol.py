"""Line protocol in, Arrow record batches out: the parser's public face.

``parse_lines`` takes the body of one write and gives back one record batch a table, and an error
for each line that could not be taken. Grammar, limits and deviations from InfluxDB 3 are stated in
``docs/internals/line-protocol.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
from headrace.wal import lp_plain
from headrace.wal.precision import Precision
from headrace.wal.schema import TIME_COLUMN, ColumnType, TableSchema

__all__ = ["LineError", "ParsedLines", "ParsedTable", "Precision", "SchemaLookup", "parse_lines", "warm_up"]

SchemaLookup: TypeAlias = Callable[[str], TableSchema | None]
"""From a table's name to the schema the catalog has for it, or None for a new table."""

MAX_ERRORS = 1000


@dataclass(frozen=True, slots=True)
class LineError:
    """Why one line was refused."""

    line_number: int
    """Counted from 1, every newline of the body counting."""
    original_line: str
    """The line's first 20 bytes, cut between characters."""
    error_message: str


@dataclass(frozen=True, slots=True)
class ParsedTable:
    """The good lines of one table."""

    name: str
    batch: pa.RecordBatch
    """One row a line in the order of the body; exactly the columns that occur, ``time`` last."""
    new_columns: Mapping[str, ColumnType]
    """The columns the looked-up schema lacks, in order of appearance; all of them for a new table.
    ``time`` is never among them."""


@dataclass(frozen=True, slots=True)
class ParsedLines:
    """What one body holds."""

    tables: tuple[ParsedTable, ...]
    errors: tuple[LineError, ...]
    """The first errors, in the order of the lines."""
    error_count: int
    """All of them, those beyond the kept ones included."""
    rows: int


def parse_lines(
    body: bytes | bytearray | memoryview,
    schemas: SchemaLookup,
    *,
    precision: Precision,
    default_time_ns: int,
) -> ParsedLines:
    """Parse ``body``; lines without a timestamp get ``default_time_ns``, truncated to ``precision``.

    ``schemas`` is called at most once for each table the body names. Bad lines never lose the good
    ones. Safe to call from several threads at once.
    """
    known: dict[str, TableSchema | None] = {}

    def lookup(name: str) -> TableSchema | None:
        return known.setdefault(name, schemas(name))

    verdict = lp_plain.read(bytes(body), lookup, precision, default_time_ns)
    tables = []
    for name, table in verdict.tables.items():
        kinds = table.columns | {TIME_COLUMN: ColumnType.TIME}
        arrays = []
        for column, kind in kinds.items():
            values = [row.get(column) for row in table.rows]
            array = pa.array(values, pa.utf8()).dictionary_encode() if kind is ColumnType.TAG else None
            arrays.append(array if array is not None else pa.array(values, kind.arrow))
        schema = pa.schema([(c, k.arrow) for c, k in kinds.items()])
        schema_of = known[name]
        old = schema_of.columns if schema_of else {}
        new = {c: k for c, k in table.columns.items() if c not in old}
        tables.append(ParsedTable(name, pa.RecordBatch.from_arrays(arrays, schema=schema), new))
    errors = tuple(LineError(*error) for error in verdict.errors[:MAX_ERRORS])
    return ParsedLines(tuple(tables), errors, len(verdict.errors), sum(len(t.rows) for t in verdict.tables.values()))


def warm_up() -> None:
    """Compile, or load from the cache, everything that parsing needs."""
