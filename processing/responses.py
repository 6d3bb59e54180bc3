"""What a request plugin may return, and the HTTP answer that becomes of it.

The forms are Flask's, as InfluxDB 3 reads them:

* a ``str`` (``text/html``), a ``dict`` or ``list`` (JSON), any other iterable of ``str`` and ``bytes``
  (joined, ``text/html``);
* a tuple ``(body,)``, ``(body, status)``, ``(body, headers)`` or ``(body, status, headers)``, where a body that
  is none of the above is turned into ``text/plain``;
* an object whose ``__flask_response__()`` is true, with ``status_code``, ``headers`` and ``get_data()``.

Two things work here that do not there: ``bytes`` are sent as they are (``application/octet-stream`` unless a
header says otherwise), and a genuine ``flask.Response`` is one.

Imported by workers: standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

CONTENT_TYPE = "Content-Type"
_HTML = "text/html"
_JSON = "application/json"
_PLAIN = "text/plain"
_BYTES = "application/octet-stream"

Parts = tuple[int, dict[str, str], bytes]


def response_parts(result: object) -> Parts:
    """Status, headers and body of the answer.

    Raises:
        TypeError: the plugin returned something that is no answer, such as None.
        ValueError: a header would break the response.
    """
    if _is_response(result):
        return _from_response(result)
    if isinstance(result, tuple) and 1 <= len(result) <= 3:
        return _from_tuple(result)
    found = _body(result)
    if found is None and hasattr(result, "__iter__"):
        found = (b"".join(_joined(result)), _HTML)
    if found is None:
        raise TypeError(
            f"Unsupported return type from Python function: {type(result).__name__}; return a str, dict, list or "
            "a tuple (body, status, headers)"
        )
    body, content_type = found
    return 200, {CONTENT_TYPE: content_type}, body


def _from_tuple(result: tuple[Any, ...]) -> Parts:
    body, content_type = _body(result[0]) or (str(result[0]).encode(), _PLAIN)
    headers = {CONTENT_TYPE: content_type}
    status = 200
    if len(result) >= 2:
        if isinstance(result[1], int):
            status = _status(result[1])
        elif isinstance(result[1], Mapping):
            _merge(headers, result[1])
    if len(result) == 3:
        if not isinstance(result[2], Mapping):
            raise TypeError("expected a dictionary in header item")
        _merge(headers, result[2])
    return status, headers, body


def _is_response(result: object) -> bool:
    marker = getattr(result, "__flask_response__", None)
    if marker is not None:
        return marker() is True
    return all(hasattr(result, name) for name in ("status_code", "headers", "get_data"))


def _from_response(result: Any) -> Parts:
    data = result.get_data()
    headers: dict[str, str] = {}
    _merge(headers, dict(result.headers))
    return _status(int(result.status_code)), headers, data if isinstance(data, bytes) else str(data).encode()


def _body(value: object) -> tuple[bytes, str] | None:
    if isinstance(value, str):
        return value.encode(), _HTML
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), _BYTES
    if isinstance(value, (dict, list)):
        return json.dumps(value).encode(), _JSON
    return None


def _joined(items: Any) -> list[bytes]:
    parts: list[bytes] = []
    for item in items:
        if isinstance(item, str):
            parts.append(item.encode())
        elif isinstance(item, (bytes, bytearray)):
            parts.append(bytes(item))
    return parts


def _status(status: int) -> int:
    return status if 100 <= status <= 999 else 500


def _merge(headers: dict[str, str], added: Mapping[Any, Any]) -> None:
    """Add headers, whose names are the same in any case."""
    present = {name.lower(): name for name in headers}
    for key, value in added.items():
        name, text = str(key), str(value)
        if not name or any(not 0x21 <= ord(character) < 0x7F or character == ":" for character in name):
            raise ValueError(f"{name!r} is not the name of an HTTP header")
        if any((ord(character) < 0x20 and character != "\t") or ord(character) > 0xFF for character in text):
            raise ValueError(f"the value of header '{name}' holds a character that no header may hold")
        headers.pop(present.get(name.lower(), name), None)
        present[name.lower()] = name
        headers[name] = text
