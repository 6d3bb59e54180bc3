"""The formats a result can be sent in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

import pyarrow as pa
from headrace.query import csv_format, json_format, parquet_format, pretty_format
from headrace.query.errors import InvalidFormat
from headrace.query.pieces import in_pieces
from headrace.query.result import QueryResult
from headrace.storage.suggest import did_you_mean


class ResultFormat(StrEnum):
    """How rows are written. The values are the names of the ``format`` parameter."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PRETTY = "pretty"
    PARQUET = "parquet"

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES[self]

    @classmethod
    def parse(cls, name: str) -> ResultFormat:
        """The format of that name; ``json_lines`` is another name of ``jsonl``. Raises InvalidFormat."""
        try:
            return cls("jsonl" if name == "json_lines" else name)
        except ValueError:
            raise InvalidFormat(
                f"unknown format {name[:64]!r}: formats are {', '.join(cls)}{did_you_mean(name, map(str, cls))}"
            ) from None

    @classmethod
    def from_accept(cls, header: str | None) -> ResultFormat:
        """The format that an ``Accept`` header asks for: JSON without one, and for browsers. Raises InvalidFormat."""
        if header is None:
            return cls.JSON
        accepted = [part.partition(";")[0].strip().lower() for part in header.split(",")]
        for media_type in accepted:
            if media_type in _MEDIA_TYPES:
                return _MEDIA_TYPES[media_type]
        if "text/html" in header or "*/*" in header:
            return cls.JSON
        raise InvalidFormat(f"invalid mime type ({header[:128]}): accepted are {', '.join(_MEDIA_TYPES)}")


_CONTENT_TYPES: Final = {
    ResultFormat.JSON: json_format.CONTENT_TYPE,
    ResultFormat.JSONL: json_format.LINES_CONTENT_TYPE,
    ResultFormat.CSV: csv_format.CONTENT_TYPE,
    ResultFormat.PRETTY: pretty_format.CONTENT_TYPE,
    ResultFormat.PARQUET: parquet_format.CONTENT_TYPE,
}
_MEDIA_TYPES: Final = {kind.partition(";")[0]: format_ for format_, kind in _CONTENT_TYPES.items()}


def encode(result: QueryResult, format_: ResultFormat) -> Iterator[bytes]:
    """The body, piece by piece; the result is closed when the body ends or is given up.

    Errors of the query come from the iterator: the first piece may be the first to tell.
    """
    with result:
        yield from encode_batches(result.batches, result.schema, format_)


def encode_batches(batches: Iterable[pa.RecordBatch], schema: pa.Schema, format_: ResultFormat) -> Iterator[bytes]:
    """The body of batches that come from elsewhere."""
    return _body(in_pieces(batches), schema, format_)


def _body(batches: Iterable[pa.RecordBatch], schema: pa.Schema, format_: ResultFormat) -> Iterator[bytes]:
    match format_:
        case ResultFormat.JSON:
            return json_format.encode_array(batches)
        case ResultFormat.JSONL:
            return json_format.encode_lines(batches)
        case ResultFormat.CSV:
            return csv_format.encode_csv(batches, schema)
        case ResultFormat.PRETTY:
            return pretty_format.encode_pretty(batches, schema)
        case ResultFormat.PARQUET:
            return parquet_format.encode_parquet(batches, schema)
