"""When what was deleted is removed for good."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from headrace.storage.errors import InvalidHardDeletion

DEFAULT_DELAY_NS: Final = 72 * 3_600 * 1_000_000_000
"""InfluxDB 3's ``--hard-delete-default-duration``: three days in which a deletion can be regretted."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_NS: Final = (1 << 63) - 1
"""The last moment that 64 bits of nanoseconds can name: 11 April 2262."""

_Word: TypeAlias = Literal["never", "now", "default"]
HardDeletion: TypeAlias = int | _Word
"""A moment in nanoseconds since the epoch, or a word that stands for one."""
_WORDS: Final[tuple[_Word, ...]] = ("never", "now", "default")


def parse_hard_deletion(text: str) -> HardDeletion:
    """``never``, ``now``, ``default`` or an RFC 3339 time with an offset. Raises InvalidHardDeletion."""
    for word in _WORDS:
        if text == word:
            return word
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidHardDeletion(
            f"cannot read the hard deletion time {text!r:.100}: write never, now, default or a time such as "
            "2026-12-31T00:00:00Z"
        )
    # Whole microseconds, not a float of seconds: exact.
    passed = moment - _EPOCH
    return ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1_000


def resolve_hard_deletion(
    when: HardDeletion, now_ns: int, *, standing_ns: int | None, delay_ns: int = DEFAULT_DELAY_NS
) -> int | None:
    """The moment ``when`` means, None for never. The past is now.

    ``default`` keeps ``standing_ns``, the moment that is set already, if there is one.
    """
    if when == "never":
        return None
    if when == "now":
        return now_ns
    if when == "default":
        return standing_ns if standing_ns is not None else min(now_ns + delay_ns, LATEST_NS)
    return min(max(when, now_ns), LATEST_NS)


def deleted_name(name: str, deleted_ns: int) -> str:
    """The name that a deleted thing has from then on: ``name-YYYYMMDDTHHMMSS``, in UTC."""
    moment = datetime.fromtimestamp(deleted_ns // 1_000_000_000, UTC)
    return f"{name}-{moment:%Y%m%dT%H%M%S}"
