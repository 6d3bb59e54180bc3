"""``LineBuilder``: the plugin API's way to make a line of line protocol.

Same names, arguments, exceptions and chaining as InfluxDB 3's. What it builds always parses back to the
values it was given: every special character is escaped, floats keep all their digits, and values that line
protocol cannot hold (NaN, integers out of range, a newline in a tag) are refused when they are added, with
the name of the field, rather than when the line is written.

Imported by workers: standard library only.
"""

from __future__ import annotations

import math
import operator
from typing import Any

_I64 = 1 << 63
_U64 = 1 << 64


class InfluxDBError(Exception):
    """Anything that is wrong with a line being built."""


class InvalidMeasurementError(InfluxDBError):
    """The measurement name cannot be used."""


class InvalidKeyError(InfluxDBError):
    """A tag or field key cannot be used."""


class InvalidLineError(InfluxDBError):
    """The line as a whole cannot be built."""


def _escaper(specials: str) -> dict[int, str]:
    return {ord(character): "\\" + character for character in specials}


_MEASUREMENT = _escaper("\\, ")
_KEY_OR_TAG = _escaper("\\,= ")
_STRING = _escaper('\\"')


class LineBuilder:
    """Builds one line: ``LineBuilder("home").tag("room", "Kitchen").float64_field("temp", 21.5).time_ns(1)``."""

    def __init__(self, measurement: str) -> None:
        if " " in measurement:
            raise InvalidMeasurementError("Measurement name cannot contain spaces")
        if not measurement:
            raise InvalidMeasurementError("Measurement name cannot be empty")
        if "\n" in measurement:
            raise InvalidMeasurementError("Measurement name cannot contain newlines")
        self.measurement = measurement
        self.tags: dict[str, str] = {}
        self.fields: dict[str, str] = {}
        self._timestamp_ns: int | None = None

    def tag(self, key: str, value: object) -> LineBuilder:
        """Add a tag; the value is turned into a string. An empty value is the same as no tag."""
        _check_key(key, "tag")
        text = str(value)
        if "\n" in text:
            raise InvalidLineError(f"tag '{key}' cannot hold a newline; use a string field")
        self.tags[key] = text
        return self

    def int64_field(self, key: str, value: int) -> LineBuilder:
        """Add a signed integer field."""
        _check_key(key, "field")
        number = _integer(key, value)
        if not -_I64 <= number < _I64:
            raise ValueError(f"int64 field '{key}' is out of range: {number}")
        self.fields[key] = f"{number}i"
        return self

    def uint64_field(self, key: str, value: int) -> LineBuilder:
        """Add an unsigned integer field."""
        _check_key(key, "field")
        number = _integer(key, value)
        if number < 0:
            raise ValueError(f"uint64 field '{key}' cannot be negative")
        if number >= _U64:
            raise ValueError(f"uint64 field '{key}' is out of range: {number}")
        self.fields[key] = f"{number}u"
        return self

    def float64_field(self, key: str, value: float) -> LineBuilder:
        """Add a float field. Every digit is kept."""
        _check_key(key, "field")
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"float64 field '{key}' cannot be {number}; line protocol has no such value")
        # Whole numbers as InfluxDB 3 writes them: never in exponent form, always with ".0".
        self.fields[key] = f"{int(number)}.0" if number.is_integer() and number else repr(number)
        return self

    def string_field(self, key: str, value: str) -> LineBuilder:
        """Add a string field; quotes, backslashes and newlines inside survive."""
        _check_key(key, "field")
        self.fields[key] = f'"{str(value).translate(_STRING)}"'
        return self

    def bool_field(self, key: str, value: bool) -> LineBuilder:
        """Add a boolean field."""
        _check_key(key, "field")
        self.fields[key] = "t" if value else "f"
        return self

    def time_ns(self, timestamp_ns: int) -> LineBuilder:
        """Set the line's time in nanoseconds since the epoch; without it the time is that of the write."""
        self._timestamp_ns = _integer("time", timestamp_ns)
        return self

    def build(self) -> str:
        """The line as text, without the newline."""
        line = self.measurement.translate(_MEASUREMENT)
        for key, value in self.tags.items():
            if value:
                line += f",{key.translate(_KEY_OR_TAG)}={value.translate(_KEY_OR_TAG)}"
        if not self.fields:
            raise InvalidLineError(f"At least one field is required: {line}")
        line += " " + ",".join(f"{key.translate(_KEY_OR_TAG)}={value}" for key, value in self.fields.items())
        return line if self._timestamp_ns is None else f"{line} {self._timestamp_ns}"

    def __repr__(self) -> str:
        return f"<LineBuilder {self.measurement} tags={self.tags} fields={self.fields}>"


def _check_key(key: str, kind: str) -> None:
    if not key:
        raise InvalidKeyError(f"{kind} key cannot be empty")
    for character, name in ((" ", "spaces"), (",", "commas"), ("=", "equals signs"), ("\n", "newlines")):
        if character in key:
            raise InvalidKeyError(f"{kind} key '{key}' cannot contain {name}")


def _integer(key: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        number = int(value)
        if number != value:
            raise ValueError(f"field '{key}' is an integer field and {value!r} is not an integer") from None
        return number
