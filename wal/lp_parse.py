"""One body through the kernels: what happens between them.

The body is parsed where it lies, except for its last lines: they are copied, so that the text the
kernels see always ends with a newline and with memory that may be read behind it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from ctypes import string_at
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from headrace.wal.lp_batches import Batch, record_batches
from headrace.wal.lp_kinds import DONE, GROW, INCOMPLETE, LOOK_UP
from headrace.wal.lp_layout import (
    ERROR_COUNT,
    ERROR_LINE,
    ERROR_LINE_END,
    MAX_ERRORS,
    PADDING,
    POSITION,
    ROW_COUNT,
    TABLE_COUNT,
    TABLE_LENGTH,
    TABLE_NAME,
)
from headrace.wal.lp_messages import ORIGINAL_LINE_BYTES, message, original_line
from headrace.wal.lp_scan import scan
from headrace.wal.lp_schemas import register
from headrace.wal.lp_scratch import Scratch
from headrace.wal.precision import Precision
from headrace.wal.schema import TableSchema

_UTF8: Final = pa.utf8()


class Body:
    """The text of one write, its tail copied, and the way back from addresses to offsets."""

    __slots__ = ("_address", "_buffer", "_tail", "data", "split")

    def __init__(self, data: bytes | bytearray) -> None:
        self.data = data
        self._buffer = pa.py_buffer(data)
        self._address = int(self._buffer.address)
        self.split = 0
        self._tail: pa.Buffer | None = None

    def head(self) -> tuple[int, int]:
        """Whole lines that can be parsed in place."""
        return self._address, self._address + self.data.rfind(b"\n", 0, max(0, len(self.data) - PADDING)) + 1

    def tail(self, start: int) -> tuple[int, int]:
        """A copy of all from address ``start`` on, with a newline and padding behind it."""
        self.split = start - self._address
        text = b"".join((memoryview(self.data)[self.split :], b"\n", bytes(PADDING)))
        self._tail = pa.py_buffer(text)
        address = int(self._tail.address)
        return address, address + len(self.data) - self.split

    def offset(self, address: int) -> int:
        if self._tail is not None:
            from_tail = address - int(self._tail.address)
            if 0 <= from_tail <= self._tail.size:
                return self.split + from_tail
        return address - self._address

    def is_utf8(self) -> bool:
        if self.data.isascii():
            return True
        offsets = pa.py_buffer(struct.pack("<ii", 0, len(self.data)))
        try:
            pa.Array.from_buffers(_UTF8, 1, [None, offsets, self._buffer]).validate(full=True)
        except pa.ArrowInvalid:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one line was not taken: its number, its first bytes, the message."""

    line_number: int
    original_line: str
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one body came to. Batches know their table by its place in ``names``."""

    batches: list[Batch]
    names: list[str]
    refusals: list[Refusal]
    error_count: int
    rows: int


def parse(
    scratch: Scratch,
    data: bytes | bytearray,
    schemas: Callable[[str], TableSchema | None],
    precision: Precision,
    default_time_ns: int,
) -> Outcome:
    body = Body(data)
    scratch.reset(len(data), precision.nanoseconds, precision.truncate(default_time_ns), not body.is_utf8())
    position, end = body.head()
    position = _run(scratch, position, end, False, schemas)
    position, end = body.tail(position)
    _run(scratch, position, end, True, schemas)
    state = scratch.state
    count = int(state.control[TABLE_COUNT])
    names = [string_at(row[TABLE_NAME], row[TABLE_LENGTH]).decode() for row in state.tables[:count].tolist()]
    made = list(record_batches(scratch)) if state.control[ROW_COUNT] else []
    error_count = int(state.control[ERROR_COUNT])
    refusals = _refusals(scratch, body, precision) if error_count else []
    return Outcome(made, names, refusals, error_count, int(state.control[ROW_COUNT]))


def _run(scratch: Scratch, position: int, end: int, final: bool, schemas: Callable[[str], TableSchema | None]) -> int:
    """Scan one part of the body; gives the address of what is left of it."""
    while position < end:
        reason = scan(scratch.address, position, end, final)
        state = scratch.state
        position = int(state.control[POSITION])
        if reason in (DONE, INCOMPLETE):
            break
        if reason == GROW:
            scratch.grow()
        elif reason == LOOK_UP:
            table = int(state.control[TABLE_COUNT]) - 1
            row = state.tables[table]
            schema = schemas(string_at(int(row[TABLE_NAME]), int(row[TABLE_LENGTH])).decode())
            if schema is not None:
                register(scratch, table, schema)
    return position


def _refusals(scratch: Scratch, body: Body, precision: Precision) -> list[Refusal]:
    state = scratch.state
    refusals = []
    number, counted = 1, 0
    for error in state.errors[: min(int(state.control[ERROR_COUNT]), MAX_ERRORS)].tolist():
        line, end = error[ERROR_LINE], error[ERROR_LINE_END]
        start = body.offset(line)
        number += body.data.count(b"\n", counted, start)
        counted = start
        text = string_at(line, min(end - line, ORIGINAL_LINE_BYTES + 1))
        refusals.append(Refusal(number, original_line(text), message(state, error, precision)))
    return refusals
