"""The HTTP application: every endpoint, put together over one server's services."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from headrace.api.auth import Authenticator
from headrace.api.body import BodyReader, ByteBudget
from headrace.api.endpoint_docs import ENDPOINT_DOCS
from headrace.api.errors import InvalidRequest, NotFound, Rendered, UnsupportedMediaType, render
from headrace.api.gateway import Gateway
from headrace.api.plugin_endpoint import PluginEndpoint
from headrace.api.routes_configure import configure_routes
from headrace.api.routes_processing import processing_routes
from headrace.api.routes_query import query_routes
from headrace.api.routes_status import RELEASE, status_routes
from headrace.api.routes_tokens import token_routes
from headrace.api.routes_unsupported import unsupported_routes
from headrace.api.services import Services
from headrace.api.settings import OPEN_RESOURCES
from headrace.api.write_endpoint import WriteEndpoint
from headrace.wal.errors import HeadraceError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

DESCRIPTION: Final = (
    "A time-series database that speaks the HTTP API of InfluxDB 3 Core. Send the token as "
    "`Authorization: Bearer TOKEN`."
)


def build_app(services: Services) -> Gateway:
    """The ASGI application of a server."""
    settings = services.settings
    bodies = BodyReader(
        settings.max_http_request_size,
        ByteBudget(settings.http_body_memory),
        settings.http_read_timeout,
        services.pools.ingest,
    )
    application = build_routes(services)
    services.metrics.paths = frozenset(describe(application)["paths"])
    return Gateway(
        authenticator(services),
        services.metrics,
        bodies,
        WriteEndpoint(services, bodies),
        PluginEndpoint(services, bodies),
        application,
    )


def authenticator(services: Services) -> Authenticator:
    """The check of tokens that this server's settings ask for."""
    settings = services.settings
    open_paths = [path for resource in settings.disable_authz for path in OPEN_RESOURCES[resource]]
    return Authenticator(services.store.catalog, required=not settings.without_auth, open_paths=open_paths)


def build_routes(services: Services) -> FastAPI:
    """Everything but the two bare endpoints, and the description of all of them."""
    app = FastAPI(title="headrace", version=RELEASE, description=DESCRIPTION, redoc_url=None)
    for routes in (status_routes, query_routes, configure_routes, token_routes, processing_routes, unsupported_routes):
        app.include_router(routes(services))
    app.add_exception_handler(HeadraceError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_invalid)
    app.add_exception_handler(ValidationError, _refuse_invalid)
    app.add_exception_handler(HTTPException, _refuse_http)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description, the bare endpoints included."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schema["paths"].update(ENDPOINT_DOCS)
        schema["paths"] = dict(sorted(schema["paths"].items()))
        schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
        app.openapi_schema = schema
    return app.openapi_schema


def _response(rendered: Rendered) -> Response:
    response = Response(rendered.body, status_code=rendered.status)
    response.raw_headers = list(rendered.headers)
    return response


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, HeadraceError)
    return _response(render(error))


async def _refuse_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError | ValidationError)
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "header")]
    in_body = "body" in first["loc"] or isinstance(error, ValidationError)
    if in_body and not _is_json(request.headers.get("content-type")):
        return _response(render(UnsupportedMediaType("unacceptable content-type, expected: application/json")))
    kind = "serde json error" if in_body else "serde error"
    if first["type"] == "missing" and place:
        return _response(render(InvalidRequest(f"{kind}: missing field `{place[-1]}`")))
    where = f" at `{'.'.join(place)}`" if place and first["type"] != "json_invalid" else ""
    reason = first.get("ctx", {}).get("error", first["msg"]) if first["type"] == "json_invalid" else first["msg"]
    return _response(render(InvalidRequest(f"{kind}: {reason}{where}")))


async def _refuse_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code in (404, 405):
        return _response(render(NotFound()))
    # FastAPI's answer to a body that is not even text.
    return _response(render(InvalidRequest(f"serde json error: {error.detail}")))


def _is_json(content_type: str | None) -> bool:
    media_type = (content_type or "").partition(";")[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))
