"""Where tables live in an engine session, and tables made of batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa
from datafusion import SessionContext
from datafusion.catalog import Table

CATALOG: Final = "public"
USER_SCHEMA: Final = "iox"
SYSTEM_SCHEMA: Final = "system"
INFORMATION_SCHEMA: Final = "information_schema"

_SCRATCH: Final = "memory"


def memory_table(context: SessionContext, partitions: Iterable[Sequence[pa.RecordBatch]]) -> Table:
    """A table of batches, without a copy of them, registered nowhere. Partitions are read in parallel.

    There must be at least one batch; ``context`` must have the system schema.
    """
    context.register_record_batches(f"{SYSTEM_SCHEMA}.{_SCRATCH}", [list(each) for each in partitions if each])
    schema = context.catalog(CATALOG).schema(SYSTEM_SCHEMA)
    table = schema.table(_SCRATCH)
    schema.deregister_table(_SCRATCH)
    return table


def empty_table(context: SessionContext, schema: pa.Schema) -> Table:
    """A table without rows, registered nowhere."""
    return memory_table(context, [[empty_batch(schema)]])


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    """A batch without rows. Databases have thousands of tables, of few types: the arrays are shared."""
    return pa.RecordBatch.from_arrays([_empty_array(kind) for kind in schema.types], schema=schema)


@lru_cache(maxsize=256)
def _empty_array(kind: pa.DataType) -> pa.Array[Any]:
    return pa.array([], kind)
