"""What a worker hands back, turned into parts of a write: the server's side of :mod:`headrace.processing.writes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from headrace.processing.columns import MalformedColumns, decode_columns, padded
from headrace.processing.protocol import ProtocolViolation
from headrace.processing.run import PluginResponse
from headrace.storage.ingest import LinesPart, TablePart, WritePart
from headrace.wal.line_protocol import Precision

_MAX_PARTS: Final = 100_000
_MAX_RESPONSE_HEADERS: Final = 1_000


def decode_parts(descriptions: object, payload: memoryview) -> tuple[tuple[WritePart, ...], memoryview]:
    """The parts, and what is left of the payload behind them. Raises ProtocolViolation."""
    if not isinstance(descriptions, list) or len(descriptions) > _MAX_PARTS:
        raise ProtocolViolation("not a list of parts")
    parts: list[WritePart] = []
    for description in descriptions:
        match description:
            case {"database": str(database), "length": int(length)} if database and 0 <= length <= len(payload):
                body, payload = payload[:length], payload[padded(length) :]
            case _:
                raise ProtocolViolation("not the description of a part that fits its payload")
        match description:
            case {"table": str(table), "tags": list(tags), "rows": int(rows), "columns": list(columns)}:
                if not all(isinstance(tag, str) for tag in tags):
                    raise ProtocolViolation("a tag's name is no text")
                try:
                    batch = decode_columns(rows, columns, body)
                except MalformedColumns as error:
                    raise ProtocolViolation(str(error)) from None
                if batch.num_rows:
                    parts.append(TablePart(database, table, batch, tuple(tags)))
            case {"table": _}:
                raise ProtocolViolation("not the description of a table")
            case _:
                if length:
                    parts.append(LinesPart(database, bytes(body), Precision.NANOSECOND))
    return tuple(parts), payload


def decode_response(description: object, payload: memoryview) -> PluginResponse | None:
    """The response of a request plugin; ``payload`` is its body and nothing else. Raises ProtocolViolation."""
    match description:
        case None if not payload:
            return None
        case {"status": int(status), "headers": dict(headers), "length": int(length)} if (
            100 <= status <= 999 and length == len(payload) and len(headers) <= _MAX_RESPONSE_HEADERS
        ):
            if not all(isinstance(value, str) and _is_header(name, value) for name, value in headers.items()):
                raise ProtocolViolation("a response header would break the response")
            return PluginResponse(status, headers, bytes(payload))
        case _:
            raise ProtocolViolation("not the description of a response")


def count_rows(parts: Sequence[WritePart]) -> int:
    """Lines and rows in the parts; blank lines and comments count as well."""
    return sum(
        bytes(part.body).count(b"\n") + 1 if isinstance(part, LinesPart) else part.data.num_rows for part in parts
    )


def _is_header(name: Any, value: str) -> bool:
    return (
        bool(name)
        and all(0x21 <= ord(character) < 0x7F and character != ":" for character in name)
        and all(0x20 <= ord(character) <= 0xFF or character == "\t" for character in value)
    )
