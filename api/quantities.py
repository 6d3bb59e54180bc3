"""Durations, sizes and addresses as people write them in options and environment variables.

Each parser takes the text and returns the value, or raises ValueError with a message that says what
was expected. Durations follow the grammar of trigger specifications (``10s``, ``1h30m``, ``2 weeks``);
sizes take a unit (``512kb``, ``64mb``, ``2gb``) or a percentage of the memory this process may use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NANOSECONDS: Final = 1_000_000_000

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", re.IGNORECASE)
_SIZE_UNITS: Final = {
    "b": 1,
    **dict.fromkeys(("k", "kb", "kib"), 1 << 10),
    **dict.fromkeys(("m", "mb", "mib"), 1 << 20),
    **dict.fromkeys(("g", "gb", "gib"), 1 << 30),
    **dict.fromkeys(("t", "tb", "tib"), 1 << 40),
}
_CGROUP_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens. Port 0 lets the system choose a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read ``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT`` (every interface)."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address; write HOST:PORT, such as 127.0.0.1:8181")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r} is not an address; put an IPv6 host into brackets: [{host}]:{port}")
    return Address(host or "0.0.0.0", int(port))


def parse_seconds(text: str) -> float:
    """Seconds in a duration such as ``250ms``, ``1s`` or ``1h30m``."""
    # The grammar lives with the trigger specifications; importing it takes a few milliseconds, which
    # a command that needs no duration shall not pay.
    from headrace.processing.specs import parse_duration

    return parse_duration(text.strip()) / NANOSECONDS


def parse_bytes(text: str) -> int:
    """Bytes in a size with a unit (``10mb``); a bare number means bytes, a percentage is of all memory."""
    text = text.strip()
    if text.endswith("%"):
        return _percentage(text)
    match = _SIZE.fullmatch(text)
    if match is None or (match[2] and match[2].lower() not in _SIZE_UNITS):
        raise ValueError(f"{text!r} is not a size; write a number and b, kb, mb, gb or tb, such as 64mb, or 20%")
    return int(float(match[1]) * _SIZE_UNITS[match[2].lower() or "b"])


def parse_megabytes(text: str) -> int:
    """As :func:`parse_bytes`, but a bare number means megabytes, as it always did for these options."""
    text = text.strip()
    return int(text) << 20 if text.isdecimal() else parse_bytes(text)


def format_bytes(size: int) -> str:
    """A size as :func:`parse_bytes` reads it, in the largest unit that loses nothing."""
    for unit, shift in (("tb", 40), ("gb", 30), ("mb", 20), ("kb", 10)):
        if size and not size & ((1 << shift) - 1):
            return f"{size >> shift}{unit}"
    return f"{size}b"


def available_memory() -> int:
    """Bytes of memory this process may use: the control group's limit, or what the machine has."""
    total = _machine_memory()
    for path in _CGROUP_LIMITS:
        try:
            limit = path.read_text().strip()
        except OSError:
            continue
        if limit.isdecimal() and 0 < int(limit) < total:
            return int(limit)
    return total


def _machine_memory() -> int:
    import os

    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _percentage(text: str) -> int:
    try:
        percent = float(text[:-1])
    except ValueError:
        raise ValueError(f"{text!r} is not a percentage; write a number between 0 and 100, such as 20%") from None
    if not 0 <= percent <= 100:
        raise ValueError(f"{text!r} is out of range; a percentage of memory is between 0% and 100%")
    return int(available_memory() * percent / 100)
