"""SQL queries: ``/api/v3/query_sql``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Header, Query
from headrace.api.errors import InvalidRequest
from headrace.api.models import ErrorBody, QueryBody
from headrace.api.query_response import RunningQuery
from headrace.api.result_format import chosen_format
from headrace.api.services import Services, run_in
from headrace.query.formats import ResultFormat
from starlette.responses import Response

_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The rows, in the format asked for by `format` or else by the `Accept` header."},
    400: {"description": "The statement is wrong or not allowed; the text says where."},
    404: {"description": "There is no such database.", "model": ErrorBody},
}


class StreamedQuery(Response):
    """Runs a query when it is sent, so that it can see the client leave."""

    def __init__(self, start: Callable[[], Awaitable[tuple[RunningQuery, bytes]]], slots: asyncio.Semaphore) -> None:
        super().__init__()
        self._start = start
        self._slots = slots

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with self._slots:
            running, first = await self._start()
            await running.send(first, receive, send)


def query_routes(services: Services) -> APIRouter:
    """Routes that read rows."""
    router = APIRouter(tags=["query"])
    slots = asyncio.Semaphore(services.settings.max_concurrent_queries)

    def answer(db: str, statement: str, chosen: ResultFormat, params: dict[str, Any] | None) -> StreamedQuery:
        def begin() -> tuple[RunningQuery, bytes]:
            result = services.queries.sql(db, statement, params)
            running = RunningQuery(services, result, chosen)
            return running, running.next_piece()

        return StreamedQuery(lambda: run_in(services.pools.queries, begin), slots)

    @router.get("/api/v3/query_sql", response_class=Response, responses=_ANSWERS, summary="Run a SQL query")
    async def query_sql(
        db: Annotated[str, Query(description="Database.")],
        q: Annotated[str, Query(description="One SQL statement.")],
        format: Annotated[str | None, Query(description="json, jsonl, csv, pretty or parquet.")] = None,
        params: Annotated[str | None, Query(description="A JSON object of parameters.")] = None,
        accept: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> StreamedQuery:
        return answer(db, q, chosen_format(format, accept), _params(params))

    @router.post("/api/v3/query_sql", response_class=Response, responses=_ANSWERS, summary="Run a SQL query")
    async def query_sql_post(
        body: QueryBody, accept: Annotated[str | None, Header(include_in_schema=False)] = None
    ) -> StreamedQuery:
        return answer(body.db, body.q, chosen_format(body.format, accept), body.params)

    return router


def _params(text: str | None) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        params = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"query parameter 'params' is not JSON: {error}") from None
    if not isinstance(params, dict):
        raise InvalidRequest("query parameter 'params' must be a JSON object")
    return params
