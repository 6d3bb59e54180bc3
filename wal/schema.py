"""Column types and table schemas: the vocabulary that parser, catalog and query share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

import pyarrow as pa

TIME_COLUMN = "time"
TIME_TYPE = pa.timestamp("ns")
TAG_TYPE = pa.dictionary(pa.int32(), pa.utf8())


class ColumnType(StrEnum):
    """What a column holds. The values are the names the HTTP API uses for field types."""

    TAG = "tag"
    TIME = "time"
    FLOAT = "float64"
    INTEGER = "int64"
    UINTEGER = "uint64"
    BOOLEAN = "bool"
    STRING = "utf8"

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type of the column in the WAL and the buffer."""
        return _ARROW[self]

    @property
    def is_field(self) -> bool:
        return self not in (ColumnType.TAG, ColumnType.TIME)


_ARROW: Mapping[ColumnType, pa.DataType] = MappingProxyType(
    {
        ColumnType.TAG: TAG_TYPE,
        ColumnType.TIME: TIME_TYPE,
        ColumnType.FLOAT: pa.float64(),
        ColumnType.INTEGER: pa.int64(),
        ColumnType.UINTEGER: pa.uint64(),
        ColumnType.BOOLEAN: pa.bool_(),
        ColumnType.STRING: pa.utf8(),
    }
)


@dataclass(frozen=True, slots=True)
class TableSchema:
    """A table's name and its columns, in the order in which they came into being.

    ``columns`` always holds ``time``. Tags keep the order in which the table first saw them: that
    order is the sort order of persisted rows (tags, then time).
    """

    name: str
    columns: Mapping[str, ColumnType] = field(default_factory=lambda: {TIME_COLUMN: ColumnType.TIME})

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(name for name, kind in self.columns.items() if kind is ColumnType.TAG)

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(name for name, kind in self.columns.items() if kind.is_field)

    def arrow_schema(self) -> pa.Schema:
        """The Arrow schema of a batch with every column of the table, in catalog order."""
        return pa.schema([(name, kind.arrow) for name, kind in self.columns.items()])

    def with_columns(self, added: Mapping[str, ColumnType]) -> TableSchema:
        return TableSchema(self.name, {**self.columns, **added})
