"""Timestamp precisions: their spellings in all three write APIs, and what one unit is worth."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from headrace.wal.errors import InvalidPrecision


class Precision(StrEnum):
    """The unit of a write's timestamps. ``AUTO`` guesses it from each timestamp's magnitude."""

    AUTO = "auto"
    SECOND = "second"
    MILLISECOND = "millisecond"
    MICROSECOND = "microsecond"
    NANOSECOND = "nanosecond"

    @classmethod
    def parse(cls, text: str) -> Precision:
        """The precision ``text`` names: ``n u ms s`` (v1), ``ns us ms s`` (v2) or the full names (v3).

        Raises :class:`InvalidPrecision` for anything else, minutes and hours included.
        """
        found = _SPELLINGS.get(text)
        if found is None:
            near = difflib.get_close_matches(text, _SPELLINGS, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; use one of {', '.join(_SPELLINGS)}"
            raise InvalidPrecision(f"unrecognized precision unit: {text}{hint}")
        return found

    @property
    def nanoseconds(self) -> int:
        """What one unit is worth; 0 for ``AUTO``, whose unit depends on the timestamp."""
        return _NANOSECONDS[self]

    def truncate(self, time_ns: int) -> int:
        """``time_ns`` rounded towards zero to a whole number of units; unchanged for ``AUTO``."""
        unit = self.nanoseconds
        if unit <= 1:
            return time_ns
        whole = abs(time_ns) // unit * unit
        return whole if time_ns >= 0 else -whole


_SPELLINGS: Mapping[str, Precision] = MappingProxyType(
    {
        "auto": Precision.AUTO,
        "s": Precision.SECOND,
        "second": Precision.SECOND,
        "ms": Precision.MILLISECOND,
        "millisecond": Precision.MILLISECOND,
        "us": Precision.MICROSECOND,
        "u": Precision.MICROSECOND,
        "microsecond": Precision.MICROSECOND,
        "ns": Precision.NANOSECOND,
        "n": Precision.NANOSECOND,
        "nanosecond": Precision.NANOSECOND,
    }
)

_NANOSECONDS: Mapping[Precision, int] = MappingProxyType(
    {
        Precision.AUTO: 0,
        Precision.SECOND: 1_000_000_000,
        Precision.MILLISECOND: 1_000_000,
        Precision.MICROSECOND: 1_000,
        Precision.NANOSECOND: 1,
    }
)
