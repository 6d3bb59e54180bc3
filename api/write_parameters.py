"""The query string of a write, in the three dialects it comes in.

========  ===================  =====================================================  =================
API       path                 parameters                                             bad lines
========  ===================  =====================================================  =================
v1        ``/write``           ``db``, ``rp``, ``precision``                          refuse the write
v2        ``/api/v2/write``    ``bucket``, ``precision`` (``org`` is not looked at)   refuse the write
v3        ``/api/v3/write_lp`` ``db``, ``precision``, ``accept_partial``, ``no_sync``  as asked for
========  ===================  =====================================================  =================

A v1 retention policy is part of the database's name (``db/rp``) unless it is the default one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

from headrace.api.errors import InvalidRequest
from headrace.wal.line_protocol import Precision

_DEFAULT_POLICIES: Final = frozenset({"", "''", "autogen", "default"})
_CACHED_LENGTH: Final = 256


class WriteApi(StrEnum):
    """A write endpoint. The value is its path."""

    V1 = "/write"
    V2 = "/api/v2/write"
    V3 = "/api/v3/write_lp"


@dataclass(frozen=True, slots=True)
class WriteParameters:
    """What a write asks for."""

    database: str
    precision: Precision
    accept_partial: bool
    sync: bool


def parse_write_parameters(api: WriteApi, query: bytes) -> WriteParameters:
    """Read the query string of a write to ``api``; raises InvalidRequest and InvalidPrecision."""
    # Clients send the same query string with every write.
    return _cached(api, query) if len(query) <= _CACHED_LENGTH else _parse(api, query)


def _parse(api: WriteApi, query: bytes) -> WriteParameters:
    try:
        given = dict(parse_qsl(query.decode(), keep_blank_values=True, errors="strict", max_num_fields=64))
    except ValueError as error:
        raise InvalidRequest(f"the query string cannot be read: {error}") from None
    match api:
        case WriteApi.V1:
            return _v1(given)
        case WriteApi.V2:
            return _v2(given)
        case WriteApi.V3:
            return _v3(given)


_cached = lru_cache(maxsize=256)(_parse)


def _v1(given: dict[str, str]) -> WriteParameters:
    if "db" not in given:
        raise InvalidRequest("missing query parameter 'db'")
    database = given["db"]
    policy = given.get("rp", "").lower()
    if policy not in _DEFAULT_POLICIES:
        database = f"{database}/{policy}"
    return WriteParameters(database, _precision(given, Precision.NANOSECOND), accept_partial=False, sync=True)


def _v2(given: dict[str, str]) -> WriteParameters:
    if not given.get("bucket"):
        raise InvalidRequest("missing bucket value")
    return WriteParameters(given["bucket"], _precision(given, Precision.NANOSECOND), accept_partial=False, sync=True)


def _v3(given: dict[str, str]) -> WriteParameters:
    if "db" not in given:
        raise InvalidRequest("missing query parameter 'db'")
    return WriteParameters(
        given["db"],
        _precision(given, Precision.AUTO),
        accept_partial=_flag(given, "accept_partial", default=True),
        sync=not _flag(given, "no_sync", default=False),
    )


def _precision(given: dict[str, str], default: Precision) -> Precision:
    return Precision.parse(given["precision"]) if "precision" in given else default


def _flag(given: dict[str, str], name: str, *, default: bool) -> bool:
    text = given.get(name)
    if text is None:
        return default
    if text not in ("true", "false"):
        raise InvalidRequest(f"query parameter '{name}' is {text!r}; it must be true or false")
    return text == "true"
