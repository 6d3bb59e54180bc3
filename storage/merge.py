"""Merging duplicates: rows with the same tags and time become one, the newest non-null value winning per field.

``RowKeys`` says which older row each new row supersedes. A superseding row that has every field is
the merged row already; otherwise its nulls are filled from the older row, which holds the merge of
all rows before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64s = npt.NDArray[np.int64]


def fill_nulls(
    columns: dict[str, pa.Array], older: Int64s, start: int, take: Callable[[str, Int64s], pa.Array]
) -> dict[str, pa.Array]:
    """Field columns of new rows with the nulls of superseding rows filled.

    ``older`` gives for each new row the row it supersedes or -1; the new rows are numbered from
    ``start`` on. ``take(name, rows)`` gathers a field of rows below ``start``.
    """
    filled = dict(columns)
    for name, column in columns.items():
        if column.null_count == 0:
            continue
        valid = np.asarray(column.is_valid())
        sources = np.empty(len(older), np.int64)
        if not _sources(older, valid, start, sources):
            continue
        earlier = sources < start
        rows = np.unique(sources[earlier])
        both = pa.concat_arrays([column, take(name, rows)]) if len(rows) else column
        places = np.where(earlier, len(column) + np.searchsorted(rows, sources), sources - start)
        filled[name] = both.take(pa.array(places))
    return filled


def _njit(function: Any) -> Any:
    return numba.njit(nogil=True, cache=True)(function)


@_njit
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
