"""What can go wrong with a request before the layers below see it, and how any error is put on the wire.

InfluxDB 3 answers some errors as JSON and some as plain text; its clients rely on both. An error class
says which by ``as_json``; for errors of the layers below, the status decides (see :func:`render`). The
v2 write endpoint has a shape of its own, made by :func:`render_v2`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import orjson
from headrace.wal.errors import HeadraceError
from headrace.wal.line_protocol import LineError

JSON: Final = b"application/json"
TEXT: Final = b"text/plain; charset=utf-8"
RETRY_AFTER_SECONDS: Final = 1


class RequestError(HeadraceError):
    """A request that is refused as it stands."""

    status: ClassVar[int] = 400
    as_json: ClassVar[bool] = False
    closes_connection: ClassVar[bool] = False


class InvalidRequest(RequestError):
    """Parameters or a body that cannot be understood."""


class UnsupportedMediaType(RequestError):
    """A body whose content type is not the one expected."""

    status: ClassVar[int] = 415


class UnacceptableEncoding(RequestError):
    """A ``Content-Encoding`` other than gzip."""

    def __init__(self, encoding: str) -> None:
        super().__init__(f"unacceptable content-encoding: {encoding}")


class InvalidGzip(RequestError):
    """A body that says it is gzip and is not, or ends too early."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"error decoding gzip stream: {reason}")


class RequestTooLarge(RequestError):
    """A body larger than ``--max-http-request-size``, as sent or after decompression."""

    status: ClassVar[int] = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"max request size ({limit} bytes) exceeded")


class ReadTimedOut(RequestError):
    """The client did not send the next piece of the body in time."""

    status: ClassVar[int] = 408
    closes_connection: ClassVar[bool] = True


class ClientGone(RequestError):
    """The client closed the connection in the middle of its request. Nobody reads the answer."""


class TooBusy(RequestError):
    """The bodies of other requests take up all the memory meant for them; retry later."""

    status: ClassVar[int] = 503
    as_json: ClassVar[bool] = True


class NotFound(RequestError):
    """There is nothing at this path, or not for this method."""

    status: ClassVar[int] = 404

    def __init__(self) -> None:
        super().__init__("Not found")


class EndpointDisabled(RequestError):
    """An endpoint that the server's settings turn off."""

    status: ClassVar[int] = 405


class NotSupported(RequestError):
    """Something InfluxDB 3 has and this server does not."""

    status: ClassVar[int] = 501
    as_json: ClassVar[bool] = True


class UnusableAnswer(RequestError):
    """A plugin answered something that is no HTTP answer."""

    status: ClassVar[int] = 500


class Unauthenticated(RequestError):
    """No token, an unknown one, or one that has expired."""

    status: ClassVar[int] = 401
    as_json: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("the request was not authenticated")


class MalformedAuthorization(RequestError):
    """An ``Authorization`` header that is not a scheme and a token."""

    as_json: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__(
            "Authorization header was malformed, the request was not in the form of 'Authorization: <auth-scheme> "
            "<token>', supported auth-schemes are Bearer, Token and Basic"
        )


class EmptyWrite(RequestError):
    """A write without a single line."""

    def __init__(self) -> None:
        super().__init__("incoming write was empty")


class LinesRefused(RequestError):
    """A write with bad lines. ``partial`` says whether the good ones were stored."""

    as_json: ClassVar[bool] = True

    def __init__(self, errors: Sequence[LineError], error_count: int, *, partial: bool) -> None:
        super().__init__(
            "partial write of line protocol occurred" if partial else "parsing failed for write_lp endpoint"
        )
        self.errors = errors
        self.error_count = error_count
        self.partial = partial

    @property
    def over_limit(self) -> bool:
        """Whether a line was refused for a limit of the catalog, which is a status of its own."""
        prefixes = ("Update to schema would exceed", "Adding a new database would exceed")
        return any(error.error_message.startswith(prefixes) for error in self.errors)


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer that is complete: status, headers, body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


_JSON_STATUSES: Final = frozenset({401, 403, 422, 503})
_V2_CODES: Final = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not found",
    413: "request too large",
    422: "unprocessable entity",
    503: "unavailable",
}


def render(error: HeadraceError, *, as_json: bool | None = None) -> Rendered:
    """The answer InfluxDB 3 gives to this error; ``as_json`` overrides what the error says."""
    status = error.status
    if isinstance(error, LinesRefused):
        lines = [_line_as_json(line) for line in error.errors]
        if error.error_count > len(lines):
            hidden = error.error_count - len(lines)
            lines.append({"error_message": f"and {hidden} more", "line_number": 0, "original_line": ""})
        status = 422 if error.over_limit else status
        return _rendered(
            error, status, JSON, orjson.dumps({"error": error.message, "data": lines if error.partial else lines[0]})
        )
    if as_json is None:
        as_json = getattr(error, "as_json", status in _JSON_STATUSES)
    if as_json:
        return _rendered(error, status, JSON, orjson.dumps({"error": error.message}))
    return _rendered(error, status, TEXT, error.message.encode(errors="replace"))


def render_v2(error: HeadraceError) -> Rendered:
    """The answer the v2 write endpoint gives to this error: a code and a message."""
    if isinstance(error, Unauthenticated | MalformedAuthorization):
        return render(error)
    message = error.message
    if isinstance(error, LinesRefused):
        first = error.errors[0]
        message = f"write buffer error: line protocol parse failed: line {first.line_number}: {first.error_message}"
    elif isinstance(error, EmptyWrite):
        message = f"write buffer error: {error.message}"
    body = {"code": _V2_CODES.get(error.status, "internal error"), "message": message}
    return _rendered(error, error.status, JSON, orjson.dumps(body))


def _line_as_json(line: LineError) -> dict[str, Any]:
    return {
        "error_message": line.error_message,
        "line_number": line.line_number,
        "original_line": line.original_line,
    }


def _rendered(error: HeadraceError, status: int, content_type: bytes, body: bytes) -> Rendered:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    if status == 503:
        headers.append((b"retry-after", b"%d" % RETRY_AFTER_SECONDS))
    if getattr(error, "closes_connection", False):
        headers.append((b"connection", b"close"))
    return Rendered(status, tuple(headers), body)
