"""What a plugin has asked to be written, and how it travels.

Lines are kept as text, a list a database, and columns as they are; a run's writes leave the worker once, when
the plugin has returned. Each database's lines are one part and each written table is one, in order of first use.

Imported by workers: standard library only, and pyarrow where columns are written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


class OutputLimitReached(Exception):
    """The plugin has written more in one run than the server takes."""


@dataclass(slots=True)
class _Lines:
    database: str
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Columns:
    header: dict[str, Any]
    buffers: list[memoryview]


class Writes:
    """Collects the writes of one run, up to ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._parts: list[_Lines | _Columns] = []
        self._lines: dict[str, _Lines] = {}
        self.overflowed = False
        """Set for good once the limit was passed, whether or not the plugin caught the exception."""

    def add_line(self, database: str, line: str) -> None:
        """Queue a line, or several with newlines between them. Raises OutputLimitReached."""
        self._grow(len(line) if line.isascii() else len(line.encode()))
        part = self._lines.get(database)
        if part is None:
            part = self._lines[database] = _Lines(database)
            self._parts.append(part)
        part.lines.append(line)

    def add_columns(self, database: str, table: str, data: pa.Table, tags: Sequence[str]) -> None:
        """Queue columns. Raises OutputLimitReached, UnwritableColumn."""
        from headrace.processing.columns import encode_columns, pad  # here: not every plugin needs pyarrow

        rows, columns, buffers = encode_columns(data, tags)
        buffers = pad(buffers)
        size = sum(map(len, buffers))
        self._grow(size)
        header = {"database": database, "table": table, "tags": list(tags), "rows": rows, "columns": columns}
        self._parts.append(_Columns({**header, "length": size}, buffers))

    def encode(self) -> tuple[list[dict[str, Any]], list[memoryview]]:
        """The parts' descriptions and the buffers to send, each part padded to eight bytes."""
        headers: list[dict[str, Any]] = []
        buffers: list[memoryview] = []
        for part in self._parts:
            if isinstance(part, _Lines):
                body = "\n".join(part.lines).encode()
                headers.append({"database": part.database, "length": len(body)})
                buffers.append(memoryview(body))
                if gap := -len(body) % 8:
                    buffers.append(memoryview(bytes(gap)))
            else:
                headers.append(part.header)
                buffers.extend(part.buffers)
        return headers, buffers

    def _grow(self, size: int) -> None:
        if self._size + size + 1 > self._limit:
            self.overflowed = True
            raise OutputLimitReached(f"the plugin has written more than the {self._limit} bytes that one run may write")
        self._size += size + 1
