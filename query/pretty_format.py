"""Batches as a table for people, as Arrow draws it.

The width of a column is known after its last row only, so the rows wait in a temporary file, which is
on disk once it is large.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import Any, Final

import pyarrow as pa
from headrace.query.cells import TEXT, cells

CONTENT_TYPE: Final = "text/plain; charset=utf-8"
_MEMORY_BYTES: Final = 4 << 20


def encode_pretty(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    """The table, without a newline at its end. A result without rows is a table without columns, as InfluxDB 3's."""
    with SpooledTemporaryFile(_MEMORY_BYTES) as spool:
        widths = [_width(name) for name in schema.names]
        rows = 0
        with pa.ipc.new_stream(spool, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += batch.num_rows
                for at, column in enumerate(batch.columns):
                    widths[at] = max(widths[at], *map(_cell_width, set(cells(column, TEXT))), 0)
        if not rows:
            yield b"++\n++"
            return
        spool.seek(0)
        edge = "+".join(("", *("-" * (width + 2) for width in widths), ""))
        yield f"{edge}\n{_line(schema.names, widths)}\n{edge}\n".encode()
        with pa.ipc.open_stream(spool) as reader:
            for batch in reader:
                yield _rows(batch, widths)
        yield edge.encode()


def _rows(batch: pa.RecordBatch, widths: list[int]) -> bytes:
    columns = [_padded(column, width) for column, width in zip(batch.columns, widths, strict=True)]
    lines: list[str] = []
    for row in zip(*columns, strict=True):
        if any("\n" in cell for cell in row):
            lines.extend(_several_lines(row, widths))
        else:
            lines.append(f"| {' | '.join(row)} |\n")
    return "".join(lines).encode()


def _padded(column: pa.Array[Any], width: int) -> list[str]:
    texts = [text.decode() for text in cells(column, TEXT)]
    return [text + " " * (width - _width(text)) for text in texts]


def _several_lines(row: tuple[str, ...], widths: list[int]) -> Iterator[str]:
    cells_of_row = [cell.split("\n") for cell in row]
    for at in range(max(map(len, cells_of_row))):
        parts = [lines[at].rstrip(" ") if at < len(lines) else "" for lines in cells_of_row]
        yield _line(parts, widths) + "\n"


def _line(texts: Iterable[str], widths: Iterable[int]) -> str:
    return f"| {' | '.join(text + ' ' * (width - _width(text)) for text, width in zip(texts, widths, strict=True))} |"


def _cell_width(text: bytes) -> int:
    return len(text) if text.isascii() and b"\n" not in text else _width(text.decode())


def _width(text: str) -> int:
    """Columns of a terminal that the longest line takes."""
    if text.isascii():
        return max(map(len, text.split("\n")))
    return max(sum(map(_character_width, line)) for line in text.split("\n"))


def _character_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
