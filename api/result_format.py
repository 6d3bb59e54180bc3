"""Which format an answer of rows has: the ``format`` parameter, or else the ``Accept`` header."""

from __future__ import annotations

from headrace.query.formats import ResultFormat


def chosen_format(name: str | None, accept: str | None) -> ResultFormat:
    """The format a request asks for; raises InvalidFormat for one there is not."""
    return ResultFormat.from_accept(accept) if name is None else ResultFormat.parse(name)
