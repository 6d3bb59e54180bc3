"""``influxdb3_local.cache`` in the worker.

The server keeps the values, pickled; the worker keeps the live objects of those it has seen. As long as the
server's version has not moved, ``get`` hands out the same object again, as InfluxDB 3 does: a plugin may change a
cached list in place, and what it changed is sent to the server when the run ends. Live objects are kept up to a
bound, counted by the size of their pickles; beyond it those that were not used for longest are let go, and are
unpickled again when they are asked for.

Objects that cannot be pickled (an event loop, a lock, a connection) live in this process only: they survive from
run to run, but not a restart of the worker, and other triggers do not see them.

Imported by workers: standard library only.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headrace.processing.protocol import Kind
from headrace.processing.worker_link import Link

_MAX_LIVE_BYTES = 32 << 20
_IMMUTABLE = (str, bytes, int, float, bool, complex, type(None))
Place = tuple[bool, str]


@dataclass(slots=True)
class _Live:
    """An object that this worker holds, and the server's version of it."""

    value: Any
    version: int
    size: int
    digest: bytes
    """Of its pickle, to see whether the object has changed since."""


@dataclass(frozen=True, slots=True)
class _Private:
    """An object that cannot be pickled, and when its time is up on the monotonic clock."""

    value: Any
    expires: float | None


class WorkerCache:
    """The cache of one worker."""

    def __init__(self, link: Link, warn: Callable[[str], None]) -> None:
        self._link = link
        self._warn = warn
        self._lock = threading.RLock()
        self._live: OrderedDict[Place, _Live] = OrderedDict()
        self._live_bytes = 0
        self._private: dict[Place, _Private] = {}
        self._touched: set[Place] = set()

    def get(self, key: str, default: Any = None, use_global: bool | None = None) -> Any:
        """The cached value, or ``default``."""
        place = (bool(use_global), _key(key))
        with self._lock:
            private = self._private.get(place)
            if private is not None:
                if private.expires is None or private.expires > time.monotonic():
                    return private.value
                del self._private[place]
            live = self._live.get(place)
            header = {"op": "get", "key": key, "global": place[0], "version": live.version if live else 0}
            reply = self._link.ask(Kind.CACHE, header)
            version = reply.header.get("version")
            if version is None:
                self._forget(place)
                return default
            if live is not None and live.version == version:
                self._live.move_to_end(place)
                self._touched.add(place)
                return live.value
            try:
                value = pickle.loads(reply.payload)
            except Exception as error:
                self._warn(f"the cached value of '{key}' cannot be read any more: {error}")
                self._forget(place)
                return default
            self._keep(place, value, bytes(reply.payload), version)
            return value

    def put(self, key: str, value: Any, ttl: float | None = None, use_global: bool | None = None) -> None:
        """Keep ``value``, for ``ttl`` seconds if given.

        Raises ValueError for a ttl that is no duration, and for a value that is larger than the cache takes.
        """
        place = (bool(use_global), _key(key))
        if ttl is not None and not 0 <= ttl < 2.0**64:
            raise ValueError(f"ttl must be a number of seconds, zero or more, not {ttl}")
        pickled = _pickled(value)
        with self._lock:
            self._forget(place)
            if pickled is not None:
                self._keep(place, value, pickled, self._ask("put", place, pickled, ttl)["version"])
                return
            if place[0]:
                self._warn(f"the value of '{key}' cannot be pickled: other triggers will not see it")
            self._ask("delete", place)
            self._private[place] = _Private(value, None if ttl is None else time.monotonic() + ttl)

    def delete(self, key: str, use_global: bool | None = None) -> bool:
        """Forget a value; says whether there was one."""
        place = (bool(use_global), _key(key))
        with self._lock:
            was_private = place in self._private
            self._forget(place)
            return bool(self._ask("delete", place)["found"]) or was_private

    def finish_run(self) -> None:
        """Send the server what the run changed in place. Raises ValueError if something has grown too large."""
        with self._lock:
            touched, self._touched = self._touched, set()
            for place in touched:
                self._send_change(place)

    def _keep(self, place: Place, value: Any, pickled: bytes, version: int) -> None:
        """Hold the live object, and let others go that there is no more room for."""
        self._forget(place)
        self._live[place] = _Live(value, version, len(pickled), _digest(pickled))
        self._live_bytes += len(pickled)
        self._touched.add(place)
        while self._live_bytes > _MAX_LIVE_BYTES:
            oldest = next(iter(self._live))
            if oldest in self._touched and oldest != place:
                self._send_change(oldest)
            self._forget(oldest)

    def _send_change(self, place: Place) -> None:
        live = self._live.get(place)
        if live is None or isinstance(live.value, _IMMUTABLE):
            return
        pickled = _pickled(live.value)
        if pickled is None or _digest(pickled) == live.digest:
            return
        version = self._ask("update", place, pickled, version=live.version).get("version")
        self._live_bytes += len(pickled) - live.size
        live.size, live.digest = len(pickled), _digest(pickled)
        if version is None:
            self._forget(place)  # somebody else has put something
        else:
            live.version = version

    def _ask(
        self, op: str, place: Place, pickled: bytes = b"", ttl: float | None = None, version: int = 0
    ) -> dict[str, Any]:
        header = {"op": op, "key": place[1], "global": place[0], "ttl": ttl, "version": version}
        reply = self._link.ask(Kind.CACHE, header, [pickled]).header
        if "error" in reply:
            raise ValueError(reply["error"])
        return reply

    def _forget(self, place: Place) -> None:
        live = self._live.pop(place, None)
        if live is not None:
            self._live_bytes -= live.size
        self._private.pop(place, None)
        self._touched.discard(place)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a cache key is a str, not {type(key).__name__}")
    return key


def _pickled(value: object) -> bytes | None:
    try:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception:
        return None


def _digest(pickled: bytes) -> bytes:
    return hashlib.blake2b(pickled, digest_size=16).digest()
