"""Paths of InfluxDB 3 that this server does not serve: each says so, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter
from headrace.api.errors import NotSupported
from headrace.api.services import Services

_INFLUXQL: Final = "InfluxQL is not supported by this server; send SQL to /api/v3/query_sql"
_CACHE: Final = "this server has no such cache; queries of the newest rows are answered from memory without one"

_PATHS: Final[Mapping[str, str]] = {
    "/query": _INFLUXQL,
    "/api/v3/query_influxql": _INFLUXQL,
    "/api/v3/configure/last_cache": _CACHE,
    "/api/v3/configure/distinct_cache": _CACHE,
}


def unsupported_routes(_: Services) -> APIRouter:
    """Routes that only refuse."""
    router = APIRouter()
    for path, reason in _PATHS.items():
        _refuse(router, path, reason)
    return router


def _refuse(router: APIRouter, path: str, reason: str) -> None:
    @router.api_route(path, methods=["GET", "POST", "DELETE"], include_in_schema=False)
    async def refuse() -> None:
        raise NotSupported(reason)
