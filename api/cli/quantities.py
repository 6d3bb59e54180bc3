"""Durations and sizes as people type them: ``30d``, ``1h 30min``, ``512MB``.

Durations take the units and the long names that InfluxDB 3's CLI takes (those of Rust's
``humantime``): a month is 30.44 days and a year 365.25 days.
"""

from __future__ import annotations

import argparse
import re

_DAY = 86_400
_SECONDS: dict[str, float] = {
    **dict.fromkeys(("nanos", "nsec", "ns"), 1e-9),
    **dict.fromkeys(("usec", "us", "µs"), 1e-6),
    **dict.fromkeys(("millis", "msec", "ms"), 1e-3),
    **dict.fromkeys(("seconds", "second", "secs", "sec", "s"), 1),
    **dict.fromkeys(("minutes", "minute", "mins", "min", "m"), 60),
    **dict.fromkeys(("hours", "hour", "hrs", "hr", "h"), 3_600),
    **dict.fromkeys(("days", "day", "d"), _DAY),
    **dict.fromkeys(("weeks", "week", "wks", "wk", "w"), 7 * _DAY),
    **dict.fromkeys(("months", "month", "M"), 30.44 * _DAY),
    **dict.fromkeys(("years", "year", "yrs", "yr", "y"), 365.25 * _DAY),
}
_BYTES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DURATION = re.compile(r"\s*(\d+)\s*([A-Za-zµ]+)")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", re.IGNORECASE)


def seconds(text: str) -> float:
    """The length of the duration ``text`` in seconds. Raises ``ArgumentTypeError`` naming the bad part."""
    total = 0.0
    position = 0
    while position < len(text.rstrip()):
        part = _DURATION.match(text, position)
        if part is None:
            raise argparse.ArgumentTypeError(
                f"invalid value '{text}': expected a duration such as 30d, 12h or 1h 30min at '{text[position:]}'"
            )
        unit = _SECONDS.get(part[2])
        if unit is None:
            raise argparse.ArgumentTypeError(
                f"invalid value '{text}': unknown time unit '{part[2]}', "
                "supported units: ns, us, ms, s, m, h, d, w, M, y"
            )
        total += int(part[1]) * unit
        position = part.end()
    if position == 0:
        raise argparse.ArgumentTypeError(f"invalid value '{text}': a duration is a number and a unit, such as 30d")
    return total


def duration(text: str) -> str:
    """``text`` itself, checked to be a duration: for options that the server parses."""
    seconds(text)
    return text


def size(text: str) -> int:
    """The size ``text`` in bytes; units are powers of 1,024."""
    part = _SIZE.fullmatch(text)
    if part is None:
        raise argparse.ArgumentTypeError(f"invalid value '{text}': expected a size such as 512MB or 2GB")
    return int(float(part[1]) * _BYTES[part[2].lower()])


def positive(text: str) -> int:
    """A whole number of at least one."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"invalid value '{text}': value must be a whole number of at least 1")
    return int(text)


def count(text: str) -> int:
    """A whole number of zero or more."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"invalid value '{text}': value must be a whole number")
    return int(text)


def format_size(count: float) -> str:
    """``count`` bytes with the largest unit that keeps it above one, such as ``3.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1024 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")


def format_elapsed(elapsed_s: float) -> str:
    """``elapsed_s`` in seconds as minutes, seconds and milliseconds, such as ``1s 230ms``."""
    total = round(elapsed_s * 1000)
    minutes, rest = divmod(total, 60_000)
    parts = ((minutes, "m"), (rest // 1000, "s"), (rest % 1000, "ms"))
    return " ".join(f"{number}{unit}" for number, unit in parts if number) or "0ms"
