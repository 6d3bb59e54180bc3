"""The OpenAPI description of the endpoints that FastAPI does not route: writes and requests to plugins."""

from __future__ import annotations

from typing import Any, Final

_PRECISIONS_V3: Final = ["auto", "nanosecond", "microsecond", "millisecond", "second"]
_PRECISIONS_V2: Final = ["ns", "us", "ms", "s"]
_PRECISIONS_V1: Final = ["n", "u", "ms", "s"]

_LINES: Final[dict[str, Any]] = {
    "required": True,
    "description": "Line protocol, gzipped if `Content-Encoding` says so.",
    "content": {"text/plain": {"schema": {"type": "string"}, "example": "home,room=Kitchen temp=22.1 1735545600"}},
}
_LINE_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "error_message": {"type": "string"},
        "line_number": {"type": "integer"},
        "original_line": {"type": "string"},
    },
}


def _parameter(name: str, description: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "required": required, "schema": schema}


def _precision(spellings: list[str]) -> dict[str, Any]:
    return _parameter("precision", "Unit of the timestamps.", {"type": "string", "enum": spellings})


def _flag(name: str, description: str, default: bool) -> dict[str, Any]:
    return _parameter(name, description, {"type": "boolean", "default": default})


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _write(summary: str, parameters: list[dict[str, Any]], refusal: dict[str, Any]) -> dict[str, Any]:
    return {
        "post": {
            "tags": ["write"],
            "summary": summary,
            "parameters": parameters,
            "requestBody": _LINES,
            "responses": {
                "204": {"description": "Every line is stored and on disk."},
                "400": refusal,
                "401": {"description": "No valid token."},
                "413": {"description": "The body is larger than --max-http-request-size."},
                "422": {"description": "A limit of databases, tables or columns would be passed."},
                "503": {"description": "The server is behind; send it again after `Retry-After` seconds."},
            },
        }
    }


_REFUSED_V3: Final = _json(
    "Some lines are wrong. With `accept_partial=true` the others are stored and `data` lists the errors.",
    {
        "type": "object",
        "properties": {
            "error": {"type": "string"},
            "data": {"oneOf": [{"type": "array", "items": _LINE_ERROR}, _LINE_ERROR]},
        },
    },
)
_REFUSED_V2: Final = _json(
    "A line is wrong; nothing is stored.",
    {"type": "object", "properties": {"code": {"type": "string"}, "message": {"type": "string"}}},
)
_REFUSED_V1: Final = _json(
    "A line is wrong; nothing is stored.",
    {"type": "object", "properties": {"error": {"type": "string"}, "data": _LINE_ERROR}},
)


def _engine(method: str) -> dict[str, Any]:
    return {
        "tags": ["processing engine"],
        "summary": "Call the request trigger of this path",
        "operationId": f"call_request_trigger_{method}",
        "parameters": [{"name": "path", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {
            "200": {"description": "What the plugin answers; it may choose any status."},
            "404": {"description": "No enabled request trigger has this path."},
        },
    }


_TEXT: Final = {"type": "string"}

ENDPOINT_DOCS: Final[dict[str, Any]] = {
    "/api/v3/write_lp": _write(
        "Write line protocol",
        [
            _parameter("db", "Database; made if there is none of that name.", _TEXT, required=True),
            _precision(_PRECISIONS_V3),
            _flag("accept_partial", "Store the good lines of a write that has bad ones.", True),
            _flag("no_sync", "Answer before the lines are on disk.", False),
        ],
        _REFUSED_V3,
    ),
    "/api/v2/write": _write(
        "Write line protocol, as InfluxDB 2",
        [
            _parameter("bucket", "Database.", _TEXT, required=True),
            _parameter("org", "Not looked at.", _TEXT),
            _precision(_PRECISIONS_V2),
        ],
        _REFUSED_V2,
    ),
    "/write": _write(
        "Write line protocol, as InfluxDB 1",
        [
            _parameter("db", "Database.", _TEXT, required=True),
            _parameter("rp", "Retention policy: part of the database's name, as db/rp.", _TEXT),
            _precision(_PRECISIONS_V1),
            _parameter("p", "The token, for clients that send no header.", _TEXT),
        ],
        _REFUSED_V1,
    ),
    "/api/v3/engine/{path}": {"get": _engine("get"), "post": _engine("post")},
}
