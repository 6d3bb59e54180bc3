"""What a frame of the write-ahead log carries.

Plain values: how they become bytes is :mod:`headrace.wal.frame`'s business alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

HERE: Final = (1 << 64) - 1
"""As a cursor move's sequence: that of the frame which carries the move, not known before it is written."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows written to one table. ``batch`` may hold any subset of the table's columns, in any order."""

    table_id: int
    batch: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class CatalogChange:
    """One change of the catalog. ``record`` is JSON-able; the catalog alone gives it meaning."""

    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CursorMove:
    """The trigger has processed every frame up to and including ``sequence`` (or its own, with HERE)."""

    trigger_id: int
    sequence: int


Entry = Rows | CatalogChange | CursorMove


@dataclass(frozen=True, slots=True)
class Frame:
    """One atomic, durable step of the log: all of its entries apply, or none.

    ``size`` is the number of bytes it takes on disk, header included.
    """

    sequence: int
    entries: tuple[Entry, ...]
    size: int
