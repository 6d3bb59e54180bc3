"""Columns as texts, a column at a time: what the JSON, CSV and table formats are put together from.

No Python code runs per value except for rare types: numbers are written by orjson from the array's memory,
timestamps as rows of a byte matrix, strings once per distinct value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

Cells = list[bytes]

_DAY_NS: Final = 86_400_000_000_000
_NS_PER_UNIT: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_INT64: Final = np.iinfo(np.int64)


@dataclass(frozen=True, slots=True)
class CellStyle:
    """How values look in a format."""

    null: bytes
    quote: bytes
    """Around what is neither a number nor a boolean nor nested."""
    string: Callable[[str], bytes]
    """A string with its quotes and escapes."""
    special: str
    """A regular expression that finds what ``string`` would change within its quotes; nothing if it changes nothing."""
    not_finite: tuple[bytes, bytes, bytes]
    """NaN, infinity and its negative."""
    json: bool
    """Whether lists and structs are JSON: else as Arrow prints them, ``[a, b]`` and ``{x: 1}``."""


JSON: Final = CellStyle(b"null", b'"', orjson.dumps, r'[\x00-\x1f"\\]', (b"null", b"null", b"null"), json=True)
TEXT: Final = CellStyle(b"", b"", str.encode, "", (b"NaN", b"inf", b"-inf"), json=False)


def cells(array: pa.Array[Any], style: CellStyle) -> Cells:
    """One text a value."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if len(array) == 0:
        return []
    kind = array.type
    if pa.types.is_null(kind):
        return [style.null] * len(array)
    texts = _of_valid(array, kind, style)
    if array.null_count:
        for at in np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)):
            texts[at] = style.null
    return texts


def _of_valid(array: pa.Array[Any], kind: pa.DataType, style: CellStyle) -> Cells:
    """As ``cells``, with anything in the place of nulls."""
    if pa.types.is_floating(kind):
        return _floats(array, style)
    if pa.types.is_integer(kind):
        return _numbers(_values(array, 0))
    if pa.types.is_boolean(kind):
        return _numbers(_values(array, False))
    if pa.types.is_timestamp(kind):
        return _timestamps(array, kind, style)
    if pa.types.is_dictionary(kind):
        return _taken(array, style)
    if _is_text(kind):
        return _strings(array, style)
    if pa.types.is_date(kind):
        days = pc.fill_null(array.cast(pa.date32()).cast(pa.int32()), 0).to_numpy().astype("datetime64[D]")
        return [b"%b%b%b" % (style.quote, text.encode(), style.quote) for text in np.datetime_as_string(days)]
    if pa.types.is_decimal(kind):
        return [text.encode() for text in pc.fill_null(array.cast(pa.utf8()), "0").to_pylist()]
    if pa.types.is_struct(kind):
        return _structs(array, style)
    if pa.types.is_map(kind):
        return _maps(array, style)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(array, style)
    return [_other(value, kind, style) for value in array]


def _values(array: pa.Array[Any], filler: Any) -> npt.NDArray[Any]:
    if array.null_count:
        array = array.fill_null(filler)
    return np.ascontiguousarray(array.to_numpy(zero_copy_only=False))


def _numbers(values: npt.NDArray[Any]) -> Cells:
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")


def _floats(array: pa.Array[Any], style: CellStyle) -> Cells:
    values = _values(array, 0.0)
    texts = _numbers(values)
    for at in np.flatnonzero(~np.isfinite(values)):
        value = values[at]
        texts[at] = style.not_finite[0 if np.isnan(value) else 1 if value > 0 else 2]
    return texts


def _strings(array: pa.Array[Any], style: CellStyle) -> Cells:
    array = array.cast(pa.utf8()) if pa.types.is_string_view(array.type) else array
    if style.special and pc.any(pc.match_substring_regex(array, style.special)).as_py():
        return _taken(array.dictionary_encode(), style)
    texts = array.cast(pa.large_binary() if pa.types.is_large_string(array.type) else pa.binary())
    if style.quote:
        quote = pa.scalar(style.quote, texts.type)
        texts = pc.binary_join_element_wise(quote, texts, quote, pa.scalar(b"", texts.type))
    found: Cells = texts.to_numpy(zero_copy_only=False).tolist()
    return found


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _taken(array: Any, style: CellStyle) -> Cells:
    values = array.dictionary
    if len(values) > 2 * len(array):
        return cells(array.dictionary_decode(), style)
    if _is_text(values.type):
        distinct = [style.null if value is None else style.string(value) for value in values.to_pylist()]
    else:
        distinct = cells(values, style)
    if not distinct:
        return [style.null] * len(array)
    taken: Cells = np.array(distinct, dtype=object)[_values(array.indices, 0)].tolist()
    return taken


# Times


@lru_cache(maxsize=1)
def _clock() -> npt.NDArray[np.uint8]:
    """``HH:MM:SS`` of every second of a day."""
    return _bytes_of(np.datetime_as_string(np.arange(86_400).astype("datetime64[s]")), 19)[:, 11:]


def _bytes_of(texts: npt.NDArray[np.str_], width: int) -> npt.NDArray[np.uint8]:
    return texts.astype(f"S{width}").view(np.uint8).reshape(len(texts), width)


def _timestamps(array: pa.Array[Any], kind: Any, style: CellStyle) -> Cells:
    """``2022-01-01T08:00:00``, with 3, 6 or 9 digits of a fraction if there is one, and ``Z`` with a time zone."""
    scale = _NS_PER_UNIT[kind.unit]
    values = _values(array.cast(pa.int64()), 0)
    if scale > 1 and (values.max() > _INT64.max // scale or values.min() < _INT64.min // scale):
        texts = np.datetime_as_string(values.astype(f"datetime64[{kind.unit}]"))
        return [b"%b%b%b" % (style.quote, text.encode(), style.quote) for text in texts]
    days, rest = np.divmod(values * scale, _DAY_NS)
    seconds, fraction = np.divmod(rest, 1_000_000_000)
    ending = (b"Z" if kind.tz else b"") + style.quote
    start = len(style.quote)
    out = np.zeros((len(values), start + 29 + len(ending)), dtype=np.uint8)
    out[:, :start] = np.frombuffer(style.quote, dtype=np.uint8)
    distinct, which = np.unique(days, return_inverse=True)
    dates = _bytes_of(np.datetime_as_string(distinct.astype("datetime64[D]")), 10)
    out[:, start : start + 10] = dates[which]
    out[:, start + 10] = ord("T")
    out[:, start + 11 : start + 19] = _clock()[seconds]
    at = np.full(len(values), start + 19)
    if fraction.any():
        at += _fractions(out[:, start + 19 : start + 29], fraction)
    for offset, byte in enumerate(ending):
        out[np.arange(len(values)), at + offset] = byte
    return out.view(f"S{out.shape[1]}").ravel().tolist()  # numpy drops the zero bytes at the end


def _fractions(out: npt.NDArray[np.uint8], fraction: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Write ``.123456789`` and return how long each is, zero bytes left behind it."""
    digits = np.select([fraction == 0, fraction % 1_000_000 == 0, fraction % 1_000 == 0], [0, 3, 6], 9)
    out[:, 0] = np.where(digits, ord("."), 0)
    rest = fraction
    for place in range(9, 0, -1):
        rest, digit = np.divmod(rest, 10)
        out[:, place] = np.where(place <= digits, digit + ord("0"), 0)
    return np.where(digits, digits + 1, 0)


def _other(value: Any, kind: pa.DataType, style: CellStyle) -> bytes:
    """Durations, intervals, times of day, bytes."""
    if not value.is_valid:
        return style.null
    if pa.types.is_duration(kind):
        text = _duration(value.value * _NS_PER_UNIT[kind.unit])
    elif pa.types.is_interval(kind):
        text = _interval(*value.as_py())
    elif isinstance(plain := value.as_py(), bytes):
        text = plain.hex()
    else:
        text = str(plain)
    return style.string(text)


def _duration(nanoseconds: int) -> str:
    """ISO 8601: ``PT1.5S``, ``-PT3S``, ``P0D``."""
    if nanoseconds == 0:
        return "P0D"
    seconds, fraction = divmod(abs(nanoseconds), 1_000_000_000)
    decimals = f".{fraction:09}".rstrip("0") if fraction else ""
    return f"{'-' if nanoseconds < 0 else ''}PT{seconds}{decimals}S"


def _interval(months: int, days: int, nanoseconds: int) -> str:
    sign = -1 if nanoseconds < 0 else 1
    seconds, fraction = divmod(abs(nanoseconds), 1_000_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [
        f"{amount} {unit}"
        for amount, unit in ((months, "mons"), (days, "days"), (sign * hours, "hours"), (sign * minutes, "mins"))
        if amount
    ]
    if seconds or fraction:
        parts.append(f"{'-' if sign < 0 else ''}{seconds}.{fraction:09} secs")
    return " ".join(parts) or "0 secs"


# Nested values


def _lists(array: Any, style: CellStyle) -> Cells:
    texts = cells(array.flatten(), style)
    ends = np.cumsum(pc.fill_null(pc.list_value_length(array), 0).to_numpy())
    separator = b"," if style.json else b", "
    starts = (0, *ends[:-1].tolist())
    return [b"[%b]" % separator.join(texts[start:end]) for start, end in zip(starts, ends.tolist(), strict=True)]


def _structs(array: Any, style: CellStyle) -> Cells:
    names = [field.name for field in array.type]
    columns = [cells(column, style) for column in array.flatten()]
    return [_object(zip(names, row, strict=True), style) for row in zip(*columns, strict=True)] or [b"{}"] * len(array)


def _maps(array: Any, style: CellStyle) -> Cells:
    texts = []
    for entries in array:
        pairs = entries.as_py() or []
        keys = [str(key) for key, _ in pairs]
        values = cells(pa.array([value for _, value in pairs], array.type.item_type), style)
        texts.append(_object(zip(keys, values, strict=True), style))
    return texts


def _object(items: Any, style: CellStyle) -> bytes:
    if style.json:
        return b"{%b}" % b",".join(
            b"%b:%b" % (orjson.dumps(name), value) for name, value in items if value != style.null
        )
    return b"{%b}" % b", ".join(b"%b: %b" % (name.encode(), value) for name, value in items)
