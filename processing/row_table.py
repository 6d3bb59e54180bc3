"""A pyarrow table from rows: the engine's system tables are small and made when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa


def row_table(schema: pa.Schema, rows: Sequence[tuple[object, ...]]) -> pa.Table:
    """A table of ``rows``, each a tuple with a value for every field of ``schema``."""
    columns: Sequence[Sequence[object]] = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = [pa.array(list(column), field.type) for field, column in zip(schema, columns, strict=True)]
    return pa.table(arrays, schema=schema)
