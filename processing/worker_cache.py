"""``influxdb3_local.cache`` in the worker.

The server keeps the values, pickled; the worker keeps the live objects of those it has seen. As long as the
server's version has not moved, ``get`` hands out the same object again, as InfluxDB 3 does: a plugin may change a
cached list in place, and what it changed is sent to the server when the run ends.

Objects that cannot be pickled (an event loop, a lock, a connection) live in this process only: they survive from
run to run, but not a restart of the worker, and other triggers do not see them.

Imported by workers: standard library only.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headrace.processing.protocol import Kind
from headrace.processing.worker_link import Link

_IMMUTABLE = (str, bytes, int, float, bool, complex, type(None))
Place = tuple[bool, str]


@dataclass(slots=True)
class _Live:
    """An object that this worker holds, and the server's version of it."""

    value: Any
    pickled: bytes | None
    """None: it cannot be pickled, and only this process has it."""
    version: int = 0
    expires: float | None = None
    """On the monotonic clock; only for what the server does not keep."""


class WorkerCache:
    """The cache of one worker; ``scope`` separates test runs from each other and from production."""

    def __init__(self, link: Link, warn: Callable[[str], None]) -> None:
        self._link = link
        self._warn = warn
        self._lock = threading.RLock()
        self._live: dict[Place, _Live] = {}
        self._touched: set[Place] = set()

    def get(self, key: str, default: Any = None, use_global: bool | None = None) -> Any:
        """The cached value, or ``default``."""
        place = (bool(use_global), _key(key))
        with self._lock:
            live = self._live.get(place)
            if live is not None and live.pickled is None:
                if live.expires is None or live.expires > time.monotonic():
                    return live.value
                self._forget(place)
                live = None
            header = {"op": "get", "key": key, "global": place[0], "version": live.version if live else 0}
            reply = self._link.ask(Kind.CACHE, header)
            version = reply.header.get("version")
            if version is None:
                self._forget(place)
                return default
            if live is None or live.version != version:
                try:
                    value = pickle.loads(reply.payload)
                except Exception as error:
                    self._warn(f"the cached value of '{key}' cannot be read any more: {error}")
                    self._forget(place)
                    return default
                live = self._live[place] = _Live(value, bytes(reply.payload), version)
            self._touched.add(place)
            return live.value

    def put(self, key: str, value: Any, ttl: float | None = None, use_global: bool | None = None) -> None:
        """Keep ``value``, for ``ttl`` seconds if given. Raises ValueError for a ttl that is no duration."""
        place = (bool(use_global), _key(key))
        if ttl is not None and not 0 <= ttl < 2.0**64:
            raise ValueError(f"ttl must be a number of seconds, zero or more, not {ttl}")
        pickled = _pickled(value)
        with self._lock:
            if pickled is None:
                if place[0]:
                    self._warn(f"the value of '{key}' cannot be pickled: other triggers will not see it")
                self._ask("delete", place)
                expires = None if ttl is None else time.monotonic() + ttl
                self._live[place] = _Live(value, None, expires=expires)
                return
            version = self._ask("put", place, pickled, ttl)["version"]
            self._live[place] = _Live(value, pickled, version)
            self._touched.add(place)

    def delete(self, key: str, use_global: bool | None = None) -> bool:
        """Forget a value; says whether there was one."""
        place = (bool(use_global), _key(key))
        with self._lock:
            live = self._live.get(place)
            was_here = live is not None and live.pickled is None
            self._forget(place)
            return bool(self._ask("delete", place)["found"]) or was_here

    def finish_run(self) -> None:
        """Send the server what the run changed in place."""
        with self._lock:
            touched, self._touched = self._touched, set()
            for place in touched:
                live = self._live.get(place)
                if live is None or live.pickled is None or isinstance(live.value, _IMMUTABLE):
                    continue
                pickled = _pickled(live.value)
                if pickled is None or pickled == live.pickled:
                    continue
                version = self._ask("update", place, pickled, version=live.version).get("version")
                if version is None:
                    self._forget(place)
                else:
                    live.pickled, live.version = pickled, version

    def _ask(
        self, op: str, place: Place, pickled: bytes = b"", ttl: float | None = None, version: int = 0
    ) -> dict[str, Any]:
        header = {"op": op, "key": place[1], "global": place[0], "ttl": ttl, "version": version}
        reply = self._link.ask(Kind.CACHE, header, [pickled]).header
        if "error" in reply:
            raise ValueError(reply["error"])
        return reply

    def _forget(self, place: Place) -> None:
        self._live.pop(place, None)
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
