"""Which format an answer of rows has: the ``format`` parameter, or else the ``Accept`` header."""

from __future__ import annotations

from headrace.api.errors import InvalidRequest
from headrace.query.formats import ResultFormat


def chosen_format(name: str | None, accept: str | None) -> ResultFormat:
    """The format a request asks for; raises InvalidRequest for one there is not."""
    if name is None:
        return ResultFormat.from_accept(accept)
    try:
        return ResultFormat(name)
    except ValueError:
        known = ", ".join(member.value for member in ResultFormat)
        raise InvalidRequest(f"unknown format {name!r}; the formats are {known}") from None
