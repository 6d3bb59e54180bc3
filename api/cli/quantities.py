"""Durations, sizes and counts as ``argparse`` types, and as text for people."""

from __future__ import annotations

import argparse

from headrace.api.quantities import parse_bytes, parse_seconds


def seconds(text: str) -> float:
    """The length of the duration ``text``, such as ``30d`` or ``1h 30min``, in seconds."""
    try:
        return parse_seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"invalid value '{text}': {error}") from None


def duration(text: str) -> str:
    """``text`` itself, checked to be a duration: for options that the server reads."""
    seconds(text)
    return text


def size(text: str) -> int:
    """The size ``text``, such as ``512mb``, in bytes."""
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"invalid value '{text}': {error}") from None


def positive(text: str) -> int:
    """A whole number of at least one."""
    number = count(text)
    if number == 0:
        raise argparse.ArgumentTypeError(f"invalid value '{text}': value must be at least 1")
    return number


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
