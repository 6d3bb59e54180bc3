"""Reading off a planned statement which tables it scans, and which rows of them it can want.

The engine's optimiser has done the work: constants are folded (``now()``, date arithmetic, casts), and
what filters a scan stands in the scan or right above it. What is left is to recognise comparisons of
``time`` and of tags with literals. Anything else is no bound, which is always safe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from datafusion import LogicalPlan
from datafusion import expr as expressions
from headrace.query.bounds import EVERYTHING, Bounds
from headrace.wal.schema import TIME_COLUMN

_MAX_DEPTH: Final = 200
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}
_NS_PER_UNIT: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}

TableKey = tuple[str | None, str]
"""(schema, or None for the default one; table)"""


@dataclass(frozen=True, slots=True)
class PlanReading:
    """The tables of a statement."""

    scans: Mapping[TableKey, Bounds]
    """Per table, what the rows of all its scans taken together satisfy."""
    complete: bool
    """False if the plan holds scans that cannot be reached (in subqueries that stayed expressions): then other
    tables may be read, and other rows of the tables that were found."""


def read_plan(plan: LogicalPlan) -> PlanReading:
    """Find every scan of an optimised plan and its bounds."""
    scans: dict[TableKey, Bounds] = {}
    found = 0
    for key, bounds in _scans(plan):
        found += 1
        scans[key] = scans[key].either(bounds) if key in scans else bounds
    return PlanReading(scans, complete=plan.display_indent().count("TableScan:") <= found)


def _scans(plan: LogicalPlan) -> Iterator[tuple[TableKey, Bounds]]:
    pending: list[tuple[LogicalPlan, Bounds]] = [(plan, EVERYTHING)]
    while pending:
        node, bounds = pending.pop()
        variant = node.to_variant()
        kind = type(variant).__name__
        if kind == "TableScan":
            _, schema, table = variant.fqn()
            for pushed in variant.filters():
                bounds = bounds.also(bounds_of(pushed))
            yield (schema, table), bounds
            continue
        below = EVERYTHING
        if kind == "Filter":
            below = bounds_of(variant.predicate())
        pending.extend((child, below) for child in node.inputs())


def bounds_of(expression: Any, depth: int = 0) -> Bounds:
    """What rows satisfy for which the expression, of a scan's own columns, is true."""
    if depth > _MAX_DEPTH:
        return EVERYTHING
    node = expression.to_variant()
    if isinstance(node, expressions.BinaryExpr):
        operator = node.op()
        if operator == "AND":
            return bounds_of(node.left(), depth + 1).also(bounds_of(node.right(), depth + 1))
        if operator == "OR":
            return bounds_of(node.left(), depth + 1).either(bounds_of(node.right(), depth + 1))
        return _comparison(node.left(), operator, node.right())
    if isinstance(node, expressions.InList) and not node.negated():
        return _membership(node)
    return EVERYTHING


def _comparison(left: Any, operator: str, right: Any) -> Bounds:
    column, value = _column(left), _literal(right)
    if column is None:
        column, value, operator = _column(right), _literal(left), _MIRRORED.get(operator, "")
    if column is None or value is None:
        return EVERYTHING
    if column == TIME_COLUMN:
        time = _nanoseconds(value)
        if time is None:
            return EVERYTHING
        if operator == "=":
            return Bounds(time, time)
        if operator in (">", ">="):
            return Bounds(min_time=time + (operator == ">"))
        return Bounds(max_time=time - (operator == "<")) if operator in ("<", "<=") else EVERYTHING
    text = _text(value)
    return EVERYTHING if operator != "=" or text is None else Bounds(tags={column: frozenset((text,))})


def _membership(node: Any) -> Bounds:
    column = _column(node.expr())
    values = [_literal(member) for member in node.list()]
    if column is None or not values or any(value is None for value in values):
        return EVERYTHING
    if column == TIME_COLUMN:
        times = [time for value in values if (time := _nanoseconds(value)) is not None]
        return Bounds(min(times), max(times)) if len(times) == len(values) else EVERYTHING
    texts = [text for value in values if (text := _text(value)) is not None]
    return Bounds(tags={column: frozenset(texts)}) if len(texts) == len(values) else EVERYTHING


def _column(expression: Any) -> str | None:
    variant = expression.to_variant()
    return variant.name() if isinstance(variant, expressions.Column) else None


def _literal(expression: Any) -> pa.Scalar[Any] | None:
    return expression.python_value() if isinstance(expression.to_variant(), expressions.Literal) else None


def _nanoseconds(value: Any) -> int | None:
    if not isinstance(value, pa.TimestampScalar) or not value.is_valid:
        return None
    return int(value.value) * _NS_PER_UNIT[value.type.unit]


def _text(value: Any) -> str | None:
    """The value of a string literal, whatever its encoding."""
    text = value.as_py() if value.is_valid else None
    return text if isinstance(text, str) else None
