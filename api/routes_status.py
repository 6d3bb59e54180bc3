"""What the server is and how it is: ``/ping``, ``/health``, ``/ready``, ``/metrics``."""

from __future__ import annotations

import importlib.metadata
import uuid
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from headrace.api.metrics import CONTENT_TYPE
from headrace.api.models import PingBody
from headrace.api.services import Services

COMPATIBLE_VERSION: Final = "3.10.0"
"""The release of InfluxDB 3 Core whose API this server speaks. Clients choose their paths by it."""
BUILD: Final = "Core"
RELEASE: Final = importlib.metadata.version("headrace")
VERSION: Final = f"{COMPATIBLE_VERSION}+headrace.{RELEASE}"
PRODUCT: Final = "headrace"

_PROCESS_ID: Final = str(uuid.uuid4())


def status_routes(services: Services) -> APIRouter:
    """Routes that need nothing but the server itself."""
    router = APIRouter(tags=["status"])

    @router.api_route("/ping", methods=["GET", "POST"], response_model=PingBody, include_in_schema=False)
    @router.get("/ping", response_model=PingBody, summary="Version of the server")
    async def ping(response: Response) -> PingBody:
        request_id = str(uuid.uuid4())
        response.headers.update(
            {
                "request-id": request_id,
                "x-request-id": request_id,
                "x-influxdb-build": BUILD,
                "x-influxdb-version": VERSION,
            }
        )
        return PingBody(product_name=PRODUCT, version=VERSION, revision=RELEASE, process_id=_PROCESS_ID)

    @router.get("/health", response_class=PlainTextResponse, summary="Whether the server takes writes and queries")
    @router.get("/api/v1/health", response_class=PlainTextResponse, include_in_schema=False)
    @router.get("/ready", response_class=PlainTextResponse, summary="Whether the server is ready, as /health")
    async def health() -> PlainTextResponse:
        if (failure := services.store.wal.failure) is not None:
            return PlainTextResponse(failure, status_code=503)
        return PlainTextResponse("OK")

    @router.get("/metrics", response_class=PlainTextResponse, summary="Prometheus metrics")
    def metrics() -> Response:
        return Response(services.metrics.exposition(), media_type=CONTENT_TYPE)

    return router
