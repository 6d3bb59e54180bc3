"""One engine scan over any number of Parquet files.

The Python interface of DataFusion takes one path a scan; a union of single-file scans costs 40 µs a file
to plan and opens all files at once. But a scan's plan can be serialised, and in it the paths are a
repeated field: protobuf messages merge when they are concatenated, so the other paths are appended as a
second, partial message of the same scan. Field numbers are those of ``datafusion.proto`` (stable, since
plans are exchanged between releases): ``LogicalPlanNode.listing_scan = 1``, ``ListingTableScanNode.paths = 2``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pyarrow as pa
from datafusion import DataFrame, LogicalPlan, SessionContext
from datafusion.object_store import LocalFileSystem

_SCHEME: Final = "headrace"
_HOST: Final = "data"
_LISTING_SCAN: Final = b"\x0a"
_PATHS: Final = b"\x12"


def register_data_root(context: SessionContext, root: Path) -> None:
    """Let ``read_files`` of this context find files below ``root``. Plans and errors show relative paths only."""
    context.register_object_store(f"{_SCHEME}://", LocalFileSystem(str(root)), _HOST)


def read_files(context: SessionContext, paths: Sequence[str], schema: pa.Schema) -> DataFrame:
    """The rows of files, given by at least one path relative to the data root, as columns of ``schema``.

    Columns that a file lacks are null, columns of another type are cast. No file is opened yet. A file
    that is missing counts as empty: whoever needs to know looks first.
    """
    first, *others = (f"{_SCHEME}://{_HOST}/{quote(path)}" for path in paths)
    frame = context.read_parquet(first, schema=schema)
    if not others:
        return frame
    more = b"".join(_PATHS + _sized(path.encode()) for path in others)
    plan = _encode(frame.logical_plan(), context) + _LISTING_SCAN + _sized(more)
    return context.create_dataframe_from_logical_plan(_decode(context, plan))


def _encode(plan: LogicalPlan, context: SessionContext) -> bytes:
    # DataFusion 54 has no to_bytes yet.
    return plan.to_bytes(context) if hasattr(plan, "to_bytes") else plan.to_proto()


def _decode(context: SessionContext, encoded: bytes) -> LogicalPlan:
    if hasattr(LogicalPlan, "from_bytes"):
        return LogicalPlan.from_bytes(context, encoded)
    return LogicalPlan.from_proto(context, encoded)


def _sized(payload: bytes) -> bytes:
    """A protobuf length-delimited value: the length as a varint, and the bytes."""
    length = len(payload)
    varint = bytearray()
    while length > 0x7F:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(varint) + bytes((length,)) + payload
