"""Many short record batches as few: what a run of rows is made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

# Shorter batches are joined before anything is done with them: a kernel call costs what 1,000 rows do.
_SHORT: Final = 1024


def joined(batches: Sequence[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """The same rows in fewer batches: short ones with the same columns, one after the other, become one.

    For one-row batches of 21 columns that is the difference between 70 and 40 µs each.
    """
    longer: list[pa.RecordBatch] = []
    short: list[pa.RecordBatch] = []

    def flush() -> None:
        if len(short) > 1:
            longer.extend(pa.Table.from_batches(short).combine_chunks().to_batches())
        else:
            longer.extend(short)
        short.clear()

    for batch in batches:
        if batch.num_rows >= _SHORT or (short and not batch.schema.equals(short[0].schema)):
            flush()
        if batch.num_rows >= _SHORT:
            longer.append(batch)
        else:
            short.append(batch)
    flush()
    return longer


def column_pieces(batches: Sequence[pa.RecordBatch], name: str) -> list[pa.Array | int]:
    """A column in pieces; a number stands for that many nulls. Short pieces side by side are joined."""
    pieces: list[pa.Array | int] = []
    short: list[pa.Array] = []

    def flush() -> None:
        if short:
            pieces.append(short[0] if len(short) == 1 else pa.concat_arrays(short))
            short.clear()

    for batch in batches:
        index = batch.schema.get_field_index(name)
        if index >= 0 and batch.num_rows < _SHORT:
            short.append(batch.column(index))
            continue
        flush()
        pieces.append(batch.num_rows if index < 0 else batch.column(index))
    flush()
    return pieces
