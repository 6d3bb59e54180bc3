"""Merging duplicates: rows with the same tags and time become one, the newest non-null value winning per field.

``RowKeys`` says which older row each new row supersedes. A superseding row that has every field is
the merged row already; otherwise its nulls are filled from the older row, which holds the merge of
all rows before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from headrace.storage.kernel import kernel

Int64s = npt.NDArray[np.int64]

Gather: TypeAlias = Callable[[str], pa.Array]
"""Gives a field's values at rows that were settled before."""


def fill_nulls(
    columns: Mapping[str, pa.Array], older: Int64s, start: int, at_rows: Callable[[Int64s], Gather]
) -> dict[str, pa.Array]:
    """Field columns of new rows with the nulls of superseding rows filled.

    ``older`` gives for each new row the row it supersedes or -1; the new rows are numbered from
    ``start`` on. ``at_rows(rows)`` prepares to gather fields at ascending row numbers below ``start``.
    """
    filled = dict(columns)
    # Columns that a write lacks altogether, or in the same rows, are filled from the same places.
    plans: dict[bytes, _Plan | None] = {}
    for name, column in columns.items():
        if column.null_count == 0:
            continue
        valid = np.zeros(len(column), np.bool_)
        if column.null_count < len(column):
            valid[:] = column.is_valid()
        key = np.packbits(valid).tobytes()
        if key not in plans:
            plans[key] = _plan(older, valid, start, at_rows)
        plan = plans[key]
        if plan is not None:
            earlier = [] if plan.gather is None else [plan.gather(name)]
            filled[name] = pa.concat_arrays([column, *earlier]).take(plan.places)
    return filled


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where each new row takes a value from: ``places`` in the new column followed by what ``gather`` gives."""

    gather: Gather | None
    places: pa.Array


def _plan(older: Int64s, valid: npt.NDArray[np.bool_], start: int, at_rows: Callable[[Int64s], Gather]) -> _Plan | None:
    sources = np.empty(len(older), np.int64)
    if not _sources(older, valid, start, sources):
        return None
    earlier = sources < start
    if not earlier.any():
        return _Plan(None, pa.array(sources - start))
    rows = np.sort(sources[earlier])
    places = np.where(earlier, len(older) + np.searchsorted(rows, sources), sources - start)
    return _Plan(at_rows(rows), pa.array(places))


@kernel
def _sources(older, valid, start, sources):  # type: ignore[no-untyped-def]
    """The row each new row takes its value from; how many take it from another row."""
    moved = 0
    for row in range(len(older)):
        source = start + row
        if not valid[row] and older[row] >= 0:
            source = older[row]
            if source >= start:
                source = sources[source - start]
            moved += 1
        sources[row] = source
    return moved
