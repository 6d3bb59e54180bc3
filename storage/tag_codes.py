"""Tag values as small integers: one growing dictionary a tag, shared by all rows of a table in memory.

Batches come with dictionaries of their own. A value is looked up here (by its bytes) only the first
time a batch uses it; all further rows are one gather.
"""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from headrace.storage.kernel import kernel
from headrace.wal.schema import TAG_TYPE

Int32s = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

NULL_CODE: Final = -1
_UNKNOWN: Final = -2
_SEED: Final = np.uint64(int.from_bytes(os.urandom(8), "little"))
_NO_BYTES: Final = bytes(1)
_FIRST_STRINGS: Final = 64
_FIRST_BYTES: Final = 1024


class TagDictionary:
    """The values of one tag, numbered in the order of their first appearance. Not safe for threads."""

    def __init__(self) -> None:
        self._count = 0
        self._data = np.empty(_FIRST_BYTES, np.uint8)
        self._offsets = np.zeros(_FIRST_STRINGS + 1, np.int32)
        self._hashes = np.empty(_FIRST_STRINGS, np.uint64)
        self._slots = np.full(2 * _FIRST_STRINGS, -1, np.int32)
        # The dictionary of the batch before: parsers share one between many batches, and append to it.
        self._last: pa.Array | None = None
        self._codes = np.empty(0, np.int32)

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        return self._data.nbytes + self._offsets.nbytes + self._hashes.nbytes + self._slots.nbytes

    def encode(self, column: pa.Array, out: Int32s) -> None:
        """Write each row's code to ``out``. Null and empty are the same: no tag, code -1."""
        if column.type != TAG_TYPE:
            column = column.cast(pa.utf8()).dictionary_encode().cast(TAG_TYPE)
        if column.dictionary.null_count:
            column = column.dictionary_decode().dictionary_encode()
        dictionary = column.dictionary
        if len(dictionary) == 0:
            out[:] = NULL_CODE
            return
        validity, indices = column.indices.buffers()
        rows = _read_only(indices, np.int32, len(column), column.offset * 4)
        has_nulls = validity is not None and column.null_count > 0
        bits = _read_only(validity if has_nulls else _NO_BYTES, np.uint8)
        offsets, data = _string_buffers(dictionary)
        codes = self._codes_for(dictionary)
        row = 0
        while True:
            row, self._count = _encode(
                rows, bits, has_nulls, column.offset, codes, offsets, data,
                self._data, self._offsets, self._hashes, self._slots, self._count, _SEED, row, out,
            )  # fmt: skip
            if row == len(rows):
                return
            at = rows[row]
            self._grow(int(offsets[at + 1] - offsets[at]))

    def values(self) -> pa.Array:
        """All values in the order of their codes. Stays valid, and as it is, while the dictionary grows."""
        offsets = pa.py_buffer(self._offsets[: self._count + 1])
        return pa.StringArray.from_buffers(self._count, offsets, pa.py_buffer(self._data))

    def _codes_for(self, dictionary: pa.Array) -> Int32s:
        last = self._last
        if last is None or not _continues(last, dictionary):
            self._codes = np.full(len(dictionary), _UNKNOWN, np.int32)
        elif len(dictionary) > len(self._codes):
            more = np.full(len(dictionary) - len(self._codes), _UNKNOWN, np.int32)
            self._codes = np.concatenate([self._codes, more])
        self._last = dictionary
        return self._codes

    def _grow(self, size: int) -> None:
        """Make room for one more value of ``size`` bytes. What was handed out keeps the old arrays."""
        used = int(self._offsets[self._count])
        if used + size > len(self._data):
            data = np.empty(max(2 * len(self._data), used + size), np.uint8)
            data[:used] = self._data[:used]
            self._data = data
        capacity = len(self._hashes)
        if self._count == capacity:
            self._offsets = np.concatenate([self._offsets, np.zeros(capacity, np.int32)])
            self._hashes = np.concatenate([self._hashes, np.empty(capacity, np.uint64)])
            self._slots = np.full(4 * capacity, -1, np.int32)
            _fill_slots(self._hashes, self._count, self._slots)


def dictionary_column(codes: Int32s, values: pa.Array) -> pa.DictionaryArray:
    """A tag column of codes into ``values``; negative codes are null. The codes are not copied."""
    absent = codes < 0
    if absent.any():
        indices = pa.array(codes, mask=absent)
    else:
        indices = pa.Array.from_buffers(pa.int32(), len(codes), [None, pa.py_buffer(codes)], 0)
    return pa.DictionaryArray.from_arrays(indices, values)


def _continues(last: pa.Array, following: pa.Array) -> bool:
    """Whether ``following`` begins with ``last``, going by where the two lie in memory."""
    if last.offset != following.offset or len(following) < len(last):
        return False
    a, b = last.buffers(), following.buffers()
    return a[1].address == b[1].address and (a[2] is None or b[2] is None or a[2].address == b[2].address)


def _string_buffers(values: pa.Array) -> tuple[Int32s, Bytes]:
    _, offsets, data = values.buffers()
    starts = _read_only(offsets, np.int32, len(values) + 1, values.offset * 4)
    return starts, _read_only(data if data is not None and data.size else _NO_BYTES, np.uint8)


def _read_only(buffer: Any, kind: type[np.generic], count: int = -1, offset: int = 0) -> Any:
    """A view of a buffer; never writable, because for numba that is another type and another compilation."""
    view = np.frombuffer(buffer, kind, count, offset)
    view.flags.writeable = False
    return view


@kernel
def _encode(  # type: ignore[no-untyped-def]
    rows,
    bits,
    has_nulls,
    bit_offset,
    codes,
    offsets,
    data,
    own_data,
    own_offsets,
    own_hashes,
    slots,
    count,
    seed,
    start,
    out,
):
    """Codes of ``rows[start:]``. Stops early, at the row it returns, when a new value finds no room."""
    mask = len(slots) - 1
    for row in range(start, len(rows)):
        if has_nulls:
            bit = bit_offset + row
            if not (bits[bit >> 3] >> (bit & 7)) & 1:
                out[row] = -1
                continue
        local = rows[row]
        code = codes[local]
        if code == -2:
            low, high = offsets[local], offsets[local + 1]
            size = high - low
            if size == 0:
                code = -1
            else:
                digest = seed
                for at in range(low, high):
                    digest = (digest ^ np.uint64(data[at])) * np.uint64(0x9E3779B97F4A7C15)
                    digest ^= digest >> np.uint64(29)
                slot = np.int64(digest & np.uint64(mask))
                code = slots[slot]
                while code >= 0:
                    if own_hashes[code] == digest and own_offsets[code + 1] - own_offsets[code] == size:
                        base, same = own_offsets[code], True
                        for at in range(size):
                            if own_data[base + at] != data[low + at]:
                                same = False
                                break
                        if same:
                            break
                    slot = (slot + 1) & mask
                    code = slots[slot]
                if code < 0:
                    base = own_offsets[count]
                    if count == len(own_hashes) or base + size > len(own_data):
                        return row, count
                    for at in range(size):
                        own_data[base + at] = data[low + at]
                    own_offsets[count + 1] = base + size
                    own_hashes[count] = digest
                    slots[slot] = count
                    code = count
                    count += 1
            codes[local] = code
        out[row] = code
    return len(rows), count


@kernel
def _fill_slots(hashes, count, slots):  # type: ignore[no-untyped-def]
    mask = len(slots) - 1
    for code in range(count):
        slot = np.int64(hashes[code] & np.uint64(mask))
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = code
