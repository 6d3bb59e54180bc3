"""A small HTTP client over ``http.client``: one kept-alive connection, typed errors, streamed answers.

The standard library because start-up time is what a command-line user feels: this imports in
30 ms where a full-featured client takes 130 ms.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from headrace.api.cli.errors import CommandFailed, ServerRefused, ServerUnreachable

if TYPE_CHECKING:
    import ssl

CONNECT_TIMEOUT_S = 10.0
CHUNK_BYTES = 1 << 18
SHOWN_LINE_ERRORS = 20

Query = Mapping[str, str]


class Client:
    """Speaks to one server. Not safe for use by several threads at once: give each its own."""

    def __init__(self, url: str, *, token: str | None = None, ca_cert: Path | None = None, verify: bool = True) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandFailed(f"'{url}' is not a URL of the form http://HOST:PORT")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._prefix = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            self._connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=CONNECT_TIMEOUT_S, context=tls_context(ca_cert, verify)
            )
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=CONNECT_TIMEOUT_S)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Send a request with ``body`` as JSON, or with the bytes ``data``, and return the whole answer.

        Raises :class:`ServerRefused` for an error status and :class:`ServerUnreachable` without an answer.
        """
        with self.stream(method, path, query=query, body=body, data=data, headers=headers) as chunks:
            return b"".join(chunks)

    def send_for_json(self, method: str, path: str, *, query: Query | None = None, body: object | None = None) -> Any:
        """As :meth:`send`, with the answer parsed as JSON."""
        answer = self.send(method, path, query=query, body=body)
        try:
            return json.loads(answer)
        except ValueError as error:
            raise CommandFailed(f"failed to parse JSON response of {self.url}{path}: {error}") from None

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Iterator[bytes]]:
        """As :meth:`send`, yielding the answer in pieces as they arrive."""
        sent = {**self._headers, **(headers or {})}
        if body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        response = self._answer(method, path + (f"?{urlencode(query)}" if query else ""), data, sent)
        try:
            yield self._pieces(response, method, path)
        finally:
            if not response.isclosed():
                self.close()

    def _answer(
        self, method: str, target: str, data: bytes | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        try:
            if self._connection.sock is None:
                self._connection.connect()
                # Only connecting is limited in time: an answer takes as long as the query does.
                socket: Any = self._connection.sock
                socket.settimeout(None)
            self._connection.request(method, self._prefix + target, body=data, headers=dict(headers))
            response = self._connection.getresponse()
            if response.status >= 400:
                raise refusal(response.status, response.reason, response.read())
            return response
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(method, target, error) from error

    def _pieces(self, response: http.client.HTTPResponse, method: str, path: str) -> Iterator[bytes]:
        try:
            while piece := response.read(CHUNK_BYTES):
                yield piece
            if response.length:  # a read of a given size does not tell an early end from the end
                raise http.client.IncompleteRead(b"", response.length)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(method, path, error) from error

    def _unreachable(self, method: str, target: str, error: Exception) -> ServerUnreachable:
        self.close()
        url = self.url + target.partition("?")[0]
        return ServerUnreachable(
            f"failed to send {method} {url} request: {reason(error)}; is the server running at {self.url}?"
        )


def reason(error: Exception) -> str:
    """What went wrong, without errno numbers."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def refusal(status: int, phrase: str, body: bytes) -> ServerRefused:
    """The error for an answer of ``status``: the server's message and, for writes, the lines it refused."""
    text = body.decode(errors="replace").strip()
    try:
        parsed = json.loads(text)
    except ValueError:
        return ServerRefused(status, phrase, text)
    if not isinstance(parsed, dict):
        return ServerRefused(status, phrase, text)
    message = parsed.get("message") or parsed.get("error")
    if not isinstance(message, str):
        return ServerRefused(status, phrase, text)
    details = parsed.get("data")
    return ServerRefused(status, phrase, message + "".join(line_errors(details)))


def line_errors(details: object) -> Iterator[str]:
    """One line of text for every refused line of a write, the first :data:`SHOWN_LINE_ERRORS` of them."""
    entries = details if isinstance(details, list) else [details] if isinstance(details, dict) else []
    found = [entry for entry in entries if isinstance(entry, dict) and "error_message" in entry]
    for entry in found[:SHOWN_LINE_ERRORS]:
        yield f"\n  line {entry.get('line_number')}: {entry['error_message']}: {entry.get('original_line', '')}"
    if len(found) > SHOWN_LINE_ERRORS:
        yield f"\n  and {len(found) - SHOWN_LINE_ERRORS} more"


def tls_context(ca_cert: Path | None, verify: bool) -> ssl.SSLContext:
    import ssl

    try:
        context = ssl.create_default_context()
        if ca_cert is not None:
            certificate = ca_cert.read_bytes() if ca_cert.suffix == ".der" else ca_cert.read_text()
            context.load_verify_locations(cadata=certificate)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise CommandFailed(f"cannot use the certificate authority {ca_cert}: {error}") from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
