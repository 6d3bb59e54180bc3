"""The answer to a query: a schema, and batches that are computed while they are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import pyarrow as pa
from headrace.query.stream import BatchStream


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Read ``batches`` to the end or call ``close``; as a context manager it closes itself.

    Holds a place among the concurrent queries, and the snapshot's files, until it has ended.
    """

    schema: pa.Schema
    batches: BatchStream
    """Raises the errors of :mod:`headrace.query.errors`. May be read in another thread than the one that asked."""
    tables: frozenset[str]
    """The user tables that are read."""
    files: int
    """How many data files were chosen; no other is opened."""

    def read_all(self) -> pa.Table:
        """The whole result in memory."""
        return pa.Table.from_batches(list(self.batches), self.schema)

    def close(self) -> None:
        self.batches.close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.batches

    def __enter__(self) -> QueryResult:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
