"""What a run would write, as line protocol text: for test runs, whose answer shows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from headrace.processing.line_builder import LineBuilder
from headrace.processing.rows import written_rows
from headrace.storage.ingest import LinesPart, TablePart, WritePart
from headrace.wal.schema import TIME_COLUMN


def lines_by_database(parts: Iterable[WritePart]) -> dict[str, list[str]]:
    """The lines of ``parts``, in order, a list a database."""
    found: dict[str, list[str]] = {}
    for part in parts:
        lines = found.setdefault(part.database, [])
        if isinstance(part, LinesPart):
            lines.extend(_split(bytes(part.body).decode(errors="replace")))
        else:
            lines.extend(_table_lines(part))
    return found


def _split(text: str) -> Iterable[str]:
    """Lines of line protocol; a newline inside a quoted string value does not end one."""
    line, quoted, escaped, fields = "", False, False, False
    for character in text:
        if character == "\n" and not quoted:
            if line.strip():
                yield line
            line, fields = "", False
            continue
        line += character
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == " " and not quoted:
            fields = True
        elif character == '"' and fields:
            quoted = not quoted
    if line.strip():
        yield line


def _table_lines(part: TablePart) -> Iterable[str]:
    data = part.data
    unsigned = {field.name for field in data.schema if pa.types.is_unsigned_integer(field.type)}
    for row in written_rows(data):
        # The builder's methods refuse names that InfluxDB 3's would; columns may have any name.
        line = LineBuilder("_")
        line.measurement = part.table
        time = row.pop(TIME_COLUMN, None)
        if time is not None:
            line.time_ns(time)
        for name, value in row.items():
            if name in part.tags:
                line.tags[name] = str(value)
            else:
                line.fields[name] = _field(value, name in unsigned)
        if line.fields:
            yield line.build()


def _field(value: Any, unsigned: bool) -> str:
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, int):
        return f"{value}u" if unsigned else f"{value}i"
    if isinstance(value, float):
        return repr(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
