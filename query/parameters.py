"""Named parameters: ``$name`` in a statement, and a value for it beside the statement.

A value never becomes part of the statement's text: the engine's planner puts it where the placeholder
stands. The form ``'$name'``, a whole string literal that is exactly a supplied parameter, is turned into
the placeholder first, since examples and plugins in the wild are written that way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import pyarrow as pa
from headrace.query.errors import InvalidParameter
from headrace.query.tokens import Token, TokenKind
from headrace.storage.suggest import did_you_mean

_PLAIN_NAME = re.compile(r"\w+\Z")
_INT64 = range(-(2**63), 2**63)
_UINT64 = range(2**64)


@dataclass(frozen=True, slots=True)
class BoundStatement:
    """A statement whose only parameters are placeholders, and a value for each."""

    text: str
    values: Mapping[str, pa.Scalar[Any]]


def bind(statement: str, tokens: Sequence[Token], parameters: Mapping[str, Any] | None) -> BoundStatement:
    """Find the parameters that a statement uses and their values. Values that it does not use are ignored.

    Parameters are null, booleans, integers up to 64 bits, floats and strings.
    Raises InvalidParameter for a placeholder without a value and for a value of another kind.
    """
    given = parameters or {}
    values: dict[str, pa.Scalar[Any]] = {}
    pieces: list[str] = []
    at = 0
    for token in tokens:
        if token.kind is TokenKind.PLACEHOLDER:
            name = token.text[1:]
            if name not in given:
                raise InvalidParameter(
                    f"No value found for placeholder with name ${name}{did_you_mean(name, map(str, given))}"
                )
            values[name] = _scalar(name, given[name])
        elif token.kind is TokenKind.STRING and (name := token.text[2:-1]) in given and token.text[1] == "$":
            placeholder = name if _PLAIN_NAME.match(name) else _unused_name(given, values)
            values[placeholder] = _scalar(name, given[name])
            # Blanks in the place of the quotes keep the columns of error messages right.
            pieces += (statement[at : token.start], f" ${placeholder} ")
            at = token.end
    return BoundStatement("".join((*pieces, statement[at:])), values)


def _scalar(name: str, value: Any) -> pa.Scalar[Any]:
    if value is None:
        return pa.scalar(None)
    if isinstance(value, bool):
        return pa.scalar(value, pa.bool_())
    if isinstance(value, int):
        if value in _INT64:
            return pa.scalar(value, pa.int64())
        if value in _UINT64:
            return pa.scalar(value, pa.uint64())
        raise InvalidParameter(f"parameter {name!r} is an integer of more than 64 bits")
    if isinstance(value, float):
        return pa.scalar(value, pa.float64())
    if isinstance(value, str):
        try:
            return pa.scalar(value, pa.utf8())
        except UnicodeEncodeError:
            raise InvalidParameter(f"parameter {name!r} is not valid Unicode: it holds half a surrogate pair") from None
    raise InvalidParameter(
        f"parameter {name!r} is {_kind(value)}: a parameter is null, a boolean, a number or a string"
    )


def _unused_name(*taken: Mapping[str, Any]) -> str:
    return next(name for number in count() if not any((name := f"quoted_{number}") in names for names in taken))


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a JSON object"
    if isinstance(value, list | tuple):
        return "a JSON array"
    return f"a {type(value).__name__}"
