"""The rows that a scan can possibly want: a range of time, and for some tags the values they may have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from headrace.storage.snapshot import DataFile

_MAX_VALUES = 1_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """What every wanted row satisfies. Whatever is not said here is not known, never excluded."""

    min_time: int | None = None
    """Nanoseconds since the epoch, inclusive, as ``max_time``."""
    max_time: int | None = None
    tags: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    """Tags that are not null and have one of these values."""

    def also(self, other: Bounds) -> Bounds:
        """Both hold (AND)."""
        tags = dict(self.tags)
        for name, values in other.tags.items():
            tags[name] = tags[name] & values if name in tags else values
        return Bounds(_tighter(max, self.min_time, other.min_time), _tighter(min, self.max_time, other.max_time), tags)

    def either(self, other: Bounds) -> Bounds:
        """At least one of them holds (OR; the scans of one table taken together)."""
        tags = {
            name: values | other.tags[name]
            for name, values in self.tags.items()
            if name in other.tags and len(values) + len(other.tags[name]) <= _MAX_VALUES
        }
        return Bounds(_looser(min, self.min_time, other.min_time), _looser(max, self.max_time, other.max_time), tags)

    def later(self, nanoseconds: int) -> Bounds:
        """The same with an end that is so much later."""
        if self.max_time is None:
            return self
        return Bounds(self.min_time, self.max_time + nanoseconds, self.tags)

    def only_tags(self, names: Iterable[str]) -> Bounds:
        """Without what is said of other columns: a field may have other values before duplicates are merged."""
        return Bounds(self.min_time, self.max_time, {name: self.tags[name] for name in names if name in self.tags})

    def meets(self, start: int, end: int) -> bool:
        """Whether rows from ``start`` to ``end``, both inclusive, can be among them."""
        return (self.min_time is None or end >= self.min_time) and (self.max_time is None or start <= self.max_time)

    def meets_file(self, file: DataFile) -> bool:
        """Whether rows of the file can be among them, by the statistics that the manifest has of it."""
        if not self.meets(file.min_time, file.max_time):
            return False
        for name, values in self.tags.items():
            if name not in file.columns:
                return False  # the tag is null in all of its rows
            known = file.tag_ranges.get(name)
            if known is not None and not any(known[0] <= value <= known[1] for value in values):
                return False
        return True


EVERYTHING: Final = Bounds()


def _tighter(choose: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    if one is None:
        return other
    return one if other is None else choose(one, other)


def _looser(choose: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else choose(one, other)
