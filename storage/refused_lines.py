"""Turns tables and columns that the catalog cannot make into errors of the lines that need them.

The parser knows one reason to refuse a line over its columns: the column is known to be of another kind. So a
body is parsed once more with a schema in which every refused column has a decoy kind, one that no line was
seen to give it. The parser then reports the lines concerned, with their numbers, and here their errors get the
message that is true. Should lines turn up that do give the column its decoy kind, another one is tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from headrace.storage.errors import InvalidName, LimitExceeded
from headrace.storage.schema_plan import Refusal
from headrace.wal.line_protocol import LineError, ParsedTable
from headrace.wal.schema import ColumnType, TableSchema

# The least likely ones first.
_DECOYS: Final = (
    ColumnType.UINTEGER,
    ColumnType.TAG,
    ColumnType.BOOLEAN,
    ColumnType.STRING,
    ColumnType.INTEGER,
    ColumnType.FLOAT,
)
# The parser's message about a column of another kind, before and behind its name, which is cut to 256 characters.
_BEFORE: Final = "invalid column type for column '"
_BEHIND: Final = "', expected "
_SHOWN: Final = 256


class RefusedLines:
    """What was refused so far in ``body``."""

    def __init__(self, body: bytes | bytearray | memoryview) -> None:
        self._body = body
        self._tables: dict[str, _RefusedTable] = {}

    def add(self, refusals: Mapping[str, Refusal], parsed: Sequence[ParsedTable]) -> None:
        """Refuse more: ``parsed`` are the tables among whose new columns the refused ones are."""
        new_columns = {table.name: table.new_columns for table in parsed}
        for name, refusal in refusals.items():
            known = self._tables.setdefault(name, _RefusedTable())
            for column in new_columns[name] if refusal.table else refusal.columns:
                known.refuse(column, new_columns[name][column], refusal.table or refusal.columns[column])

    def change_decoys(self, parsed: Sequence[ParsedTable]) -> bool:
        """Whether refused columns still have values in ``parsed``; they have other decoys then.

        Raises the reason of the refusal if a column's lines give it all kinds there are.
        """
        changed = False
        for table in parsed:
            known = self._tables.get(table.name)
            for column in table.batch.schema.names if known is not None else ():
                if known is not None and column in known.decoys:
                    known.refuse(column, known.decoys[column], known.reasons[column])
                    changed = True
        return changed

    def schema(self, table: str, schema: TableSchema | None) -> TableSchema | None:
        """The schema to parse with, given the real one."""
        known = self._tables.get(table)
        return schema if known is None else (schema or TableSchema(table)).with_columns(known.decoys)

    def explain(self, errors: Sequence[LineError]) -> tuple[LineError, ...]:
        """``errors`` of the last parse, with true messages."""
        lines = bytes(self._body).split(b"\n")
        return tuple(self._explain(error, lines[error.line_number - 1]) for error in errors)

    def _explain(self, error: LineError, line: bytes) -> LineError:
        known = self._tables.get(measurement(line.decode(errors="replace")))
        if known is None or not error.error_message.startswith(_BEFORE):
            return error
        column = error.error_message[len(_BEFORE) :].rpartition(_BEHIND)[0]
        reason = next((reason for name, reason in known.reasons.items() if _shown(name) == column), None)
        return error if reason is None else replace(error, error_message=reason.message)


class _RefusedTable:
    """The refused columns of one table: why, what they are said to be, and what lines were seen to make them."""

    __slots__ = ("decoys", "reasons", "seen")

    def __init__(self) -> None:
        self.reasons: dict[str, LimitExceeded | InvalidName] = {}
        self.decoys: dict[str, ColumnType] = {}
        self.seen: dict[str, set[ColumnType]] = {}

    def refuse(self, column: str, kind: ColumnType, reason: LimitExceeded | InvalidName) -> None:
        seen = self.seen.setdefault(column, set())
        seen.add(kind)
        decoy = next((each for each in _DECOYS if each not in seen), None)
        if decoy is None:
            raise reason
        self.decoys[column], self.reasons[column] = decoy, reason


def _shown(name: str) -> str:
    return name if len(name) <= _SHOWN else name[:_SHOWN] + "..."


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
