"""What a query can be refused for, or fail of, each with the HTTP status it answers.

Messages keep the words of DataFusion, as InfluxDB 3 shows them, and go on to say what would have been
right. They never name a path on the server.
"""

from __future__ import annotations

from typing import ClassVar

from headrace.wal.errors import HeadraceError


class QueryError(HeadraceError):
    """Any refusal or failure of a query."""


class InvalidQuery(QueryError):
    """The statement cannot be planned: its syntax, a name, a type."""

    status: ClassVar[int] = 400


class StatementRefused(InvalidQuery):
    """The statement would do something else than read the database's tables."""


class StatementTooLarge(InvalidQuery):
    """The statement is longer, or has more operators, than can be planned within bounds."""


class InvalidParameter(InvalidQuery):
    """A parameter is missing, or its value is none that a statement can take."""


class InvalidFormat(QueryError):
    """A result format, or an Accept header, that is not known."""

    status: ClassVar[int] = 400


class ResultTooLarge(QueryError):
    """One row of the result is too large to be written as a whole."""

    status: ClassVar[int] = 400


class UnsupportedQuery(QueryError):
    """The statement is right, but asks for something that is not implemented."""

    status: ClassVar[int] = 405


class QueryTimeout(QueryError):
    """The statement took longer than it may."""

    status: ClassVar[int] = 408


class QueryClosed(QueryError):
    """The result was closed, or the engine shut down, before the last batch was read."""

    status: ClassVar[int] = 503


class TooManyQueries(QueryError):
    """As many queries as are allowed at once are running, and none ended in time."""

    status: ClassVar[int] = 503


class MemoryExhausted(QueryError):
    """The query needs more memory than the pool has left, even with what can be spilled to disk."""

    status: ClassVar[int] = 503


class DataFileUnreadable(QueryError):
    """A file that the snapshot lists is missing or damaged."""


class QueryFailed(QueryError):
    """The engine failed in a way that is not the statement's fault."""
