"""Line protocol in, Arrow record batches out: the parser's public face.

``parse_lines`` takes the body of one write and gives back one record batch a table, and an error
for each line that could not be taken. Grammar, limits and deviations from InfluxDB 3 are stated in
``docs/internals/line-protocol.md``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import pyarrow as pa
from headrace.wal.errors import BodyTooLarge
from headrace.wal.precision import Precision
from headrace.wal.schema import ColumnType, TableSchema

__all__ = ["LineError", "ParsedLines", "ParsedTable", "Precision", "SchemaLookup", "parse_lines", "warm_up"]

SchemaLookup: TypeAlias = Callable[[str], TableSchema | None]
"""From a table's name to the schema the catalog has for it, or None for a new table."""

_NOTICE_AFTER_S: Final = 1.5
_log: Final = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = (1 << 31) - (1 << 16)


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
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"{len(body)} bytes of line protocol in one write; at most {MAX_BODY_BYTES} can be parsed")
    from headrace.wal.lp_parse import parse
    from headrace.wal.lp_scratch import borrow, give_back

    scratch = borrow()
    data = body if isinstance(body, bytes | bytearray) else bytes(body)
    outcome = parse(scratch, data, schemas, precision, default_time_ns)
    give_back(scratch)
    tables = tuple(ParsedTable(outcome.names[made.table], made.batch, made.new_columns) for made in outcome.batches)
    errors = tuple(LineError(r.line_number, r.original_line, r.message) for r in outcome.refusals)
    return ParsedLines(tables, errors, outcome.error_count, outcome.rows)


def warm_up() -> None:
    """Compile the kernels, or load them from the cache, so that no request has to wait for it.

    They are compiled at the first start after an installation or an update, which takes some ten to
    thirty seconds and is announced in the log; later starts load them in less than one.
    """
    started = time.monotonic()
    notice = threading.Timer(_NOTICE_AFTER_S, _log.info, ("compiling the line protocol parser for this machine, once",))
    notice.daemon = True
    notice.start()
    try:
        parse_lines(b"m f=1", lambda _: None, precision=Precision.AUTO, default_time_ns=0)
    finally:
        notice.cancel()
    _log.debug("line protocol parser ready after %.1f s", time.monotonic() - started)
