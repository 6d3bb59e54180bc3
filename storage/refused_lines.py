"""Turns tables and columns that the catalog cannot make into errors of the lines that need them.

The parser knows one reason to refuse a line over its columns: the column is known to be of another kind. So a
body is parsed once more with a schema in which every refused column is of a kind that nothing in a line can
be, that of ``time``. The parser then reports exactly the lines concerned, with their numbers; here their
errors get the message that is true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from headrace.storage.schema_plan import Refusal
from headrace.wal.line_protocol import LineError, ParsedTable
from headrace.wal.schema import ColumnType, TableSchema


class RefusedLines:
    """What was refused so far in ``body``, whose first parse gave the errors ``known``."""

    def __init__(self, body: bytes | bytearray | memoryview, known: Sequence[LineError]) -> None:
        self._body = body
        self._known = {error.line_number: error for error in known}
        self._refusals: dict[str, Refusal] = {}
        self._columns: dict[str, dict[str, ColumnType]] = {}

    def add(self, refusals: Mapping[str, Refusal], parsed: Sequence[ParsedTable]) -> None:
        """Refuse more: ``parsed`` are the tables among whose new columns the refused ones are."""
        new_columns = {table.name: table.new_columns for table in parsed}
        for name, refusal in refusals.items():
            whole = refusal.table is not None
            known = self._refusals.setdefault(name, Refusal())
            known.table = known.table or refusal.table
            known.columns |= refusal.columns
            refused = new_columns[name] if whole else refusal.columns
            self._columns.setdefault(name, {}).update(dict.fromkeys(refused, ColumnType.TIME))

    def schema(self, table: str, schema: TableSchema | None) -> TableSchema | None:
        """The schema to parse with, given the real one."""
        columns = self._columns.get(table)
        return schema if columns is None else (schema or TableSchema(table)).with_columns(columns)

    def explain(self, errors: Sequence[LineError]) -> tuple[LineError, ...]:
        """``errors`` of the last parse, with true messages."""
        lines = bytes(self._body).split(b"\n")
        return tuple(self._explain(error, lines[error.line_number - 1]) for error in errors)

    def _explain(self, error: LineError, line: bytes) -> LineError:
        known = self._known.get(error.line_number)
        if known is not None:
            return known
        refusal = self._refusals.get(measurement(line.decode(errors="replace")))
        if refusal is None:
            return error
        named = (reason for column, reason in refusal.columns.items() if f"'{column}'" in error.error_message)
        reason = refusal.table or next(named, refusal.first)
        return replace(error, error_message=reason.message)


def measurement(line: str) -> str:
    """The table that a line of line protocol is for: everything up to a comma or space without a backslash."""
    name: list[str] = []
    characters = iter(line.lstrip(" "))
    for character in characters:
        if character in ", ":
            break
        if character == "\\":
            following = next(characters, "")
            # Only a comma or a space is escaped; before anything else a backslash stands for itself.
            name.append(following if following and following in ", " else character + following)
        else:
            name.append(character)
    return "".join(name)
