"""The plugins' in-memory cache: what ``influxdb3_local.cache`` keeps between runs.

It lives in the server, so it survives the restart of a worker and is shared where it is meant to be; it is gone
when the server stops. Values are opaque here: bytes that a worker pickled and that only workers unpickle.

Every trigger has a namespace of its own, and all triggers share the global one. A test run has a pair of its
own, named by its user, whose entries live for half an hour unless they say otherwise, so that tests neither see
nor change what production keeps. The cache is bounded: when it holds more than ``max_bytes``, the entries that
were not read or written for longest go first.

Every put gives the entry a new version, from one counter for the whole cache. A worker that holds the live object
of a version asks with that version, and the value need not travel; changes it made to the object come back as an
``update``, which only counts if nobody else has put something in the meantime.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

Place = tuple[str, str]
"""Namespace and key."""

TEST_TTL_S: Final = 30 * 60.0
_OVERHEAD: Final = 200
"""Bytes an entry costs beside its key and value; keeps a flood of tiny entries within the bound."""


@dataclass(frozen=True, slots=True)
class CacheScope:
    """The two namespaces a run sees."""

    local: str
    shared: str
    default_ttl_s: float | None = None

    @classmethod
    def for_trigger(cls, trigger_id: int) -> CacheScope:
        return cls(local=f"trigger/{trigger_id}", shared="global")

    @classmethod
    def for_test(cls, name: str) -> CacheScope:
        return cls(local=f"test/{name}/trigger", shared=f"test/{name}/global", default_ttl_s=TEST_TTL_S)


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A value as it lies in the cache."""

    value: bytes
    version: int
    expires: float | None
    """On the cache's clock; None: never."""
    size: int
    """Bytes it counts for."""


class PluginCache:
    """Bounded, expiring, thread-safe. ``clock`` counts seconds and never goes back."""

    def __init__(
        self,
        *,
        max_bytes: int = 256 << 20,
        max_entry_bytes: int = 64 << 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_bytes = max_bytes
        self.max_entry_bytes = min(max_entry_bytes, max_bytes)
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[Place, CacheEntry] = OrderedDict()
        self._bytes = 0
        self._version = 0

    @property
    def size_bytes(self) -> int:
        """What the entries take, keys and bookkeeping included."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, scope: CacheScope, key: str, *, use_global: bool = False) -> CacheEntry | None:
        """The entry, or None if there is none or its time is up."""
        place = _place(scope, key, use_global)
        with self._lock:
            entry = self._current(place)
            if entry is not None:
                self._entries.move_to_end(place)
            return entry

    def put(
        self, scope: CacheScope, key: str, value: bytes, *, ttl_s: float | None = None, use_global: bool = False
    ) -> int:
        """Keep ``value`` for ``ttl_s`` seconds, or until the server stops; the new version is returned.

        Raises ValueError if ``ttl_s`` is no duration or the value is larger than an entry may be.
        """
        ttl_s = _checked_ttl(ttl_s) if ttl_s is not None else scope.default_ttl_s
        size = self._size(key, value)
        with self._lock:
            expires = None if ttl_s is None else self._clock() + ttl_s
            return self._store(_place(scope, key, use_global), value, expires, size)

    def update(
        self, scope: CacheScope, key: str, value: bytes, *, version: int, use_global: bool = False
    ) -> int | None:
        """Replace the value of ``version``, which keeps its time to live; the new version, or None if it is gone.

        Raises ValueError if the value is larger than an entry may be.
        """
        place = _place(scope, key, use_global)
        size = self._size(key, value)
        with self._lock:
            entry = self._current(place)
            if entry is None or entry.version != version:
                return None
            return self._store(place, value, entry.expires, size)

    def delete(self, scope: CacheScope, key: str, *, use_global: bool = False) -> bool:
        """Forget a value; says whether there was one."""
        place = _place(scope, key, use_global)
        with self._lock:
            found = self._current(place) is not None
            self._drop(place)
            return found

    def drop_local(self, scope: CacheScope) -> None:
        """Forget all that a trigger keeps, when it is deleted."""
        with self._lock:
            for place in [place for place in self._entries if place[0] == scope.local]:
                self._drop(place)

    def _current(self, place: Place) -> CacheEntry | None:
        entry = self._entries.get(place)
        if entry is not None and entry.expires is not None and entry.expires <= self._clock():
            self._drop(place)
            return None
        return entry

    def _size(self, key: str, value: bytes) -> int:
        size = len(value) + len(key) * 4 + _OVERHEAD
        if size > self.max_entry_bytes:
            raise ValueError(f"cache entry '{key[:80]}' takes {size} bytes; the most is {self.max_entry_bytes}")
        return size

    def _store(self, place: Place, value: bytes, expires: float | None, size: int) -> int:
        self._drop(place)
        self._version += 1
        self._entries[place] = CacheEntry(value, self._version, expires, size)
        self._bytes += size
        if self._bytes > self.max_bytes:
            self._make_room()
        return self._version

    def _make_room(self) -> None:
        for place in list(self._entries):
            self._current(place)
        while self._bytes > self.max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, place: Place) -> None:
        entry = self._entries.pop(place, None)
        if entry is not None:
            self._bytes -= entry.size


def _place(scope: CacheScope, key: str, use_global: bool) -> Place:
    return (scope.shared if use_global else scope.local, key)


def _checked_ttl(ttl_s: float) -> float:
    if not 0 <= ttl_s < 2.0**64:  # false for NaN as well
        raise ValueError(f"ttl must be a number of seconds, zero or more, not {ttl_s}")
    return ttl_s
