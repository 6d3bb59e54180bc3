from __future__ import annotations

from typing import Any

import pytest
from headrace.query.engine import QueryEngine
from headrace.query.errors import InvalidParameter
from headrace.query.parameters import BoundStatement, bind
from headrace.query.tokens import tokenize
from hypothesis import given
from hypothesis import strategies as st

from tests.query.snapshot_lab import SnapshotLab


def _bind(statement: str, parameters: dict[str, Any] | None) -> BoundStatement:
    return bind(statement, tokenize(statement), parameters)


def test_a_quoted_parameter_becomes_a_placeholder_of_the_same_length() -> None:
    bound = _bind("SELECT * FROM home WHERE room = '$room' AND x = 1", {"room": "Kitchen"})
    assert bound.text == "SELECT * FROM home WHERE room =  $room  AND x = 1"
    assert bound.values["room"].as_py() == "Kitchen"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT '$other'",
        "SELECT 'x $room'",
        "SELECT '$room '",
        "SELECT '''$room'''",
        'SELECT "$room"',
        "SELECT 1 -- '$room'",
        "SELECT 1 /* '$room' */",
        "SELECT $$ '$room' $$",
        "SELECT E'$room'",
    ],
)
def test_only_a_whole_plain_literal_that_is_a_supplied_parameter_is_bound(statement: str) -> None:
    bound = _bind(statement, {"room": "Kitchen"})
    assert bound.text == statement
    assert not bound.values


def test_a_quoted_parameter_may_have_any_name(engine: QueryEngine) -> None:
    result = engine.sql("db", "SELECT '$my-name' AS a, '$ä ö' AS b, '$room' AS c", {"my-name": 1, "ä ö": 2, "room": 3})
    assert result.read_all().to_pylist() == [{"a": 1, "b": 2, "c": 3}]


def test_values_keep_their_types(engine: QueryEngine) -> None:
    parameters = {"s": "x'); DROP", "i": -3, "u": 2**64 - 1, "f": 1.5, "b": True, "n": None}
    result = engine.sql("db", "SELECT $s AS s, $i AS i, $u AS u, $f AS f, $b AS b, $n AS n", parameters)
    assert result.read_all().to_pylist() == [parameters]


def test_parameters_bind_where_an_expression_may_stand(engine: QueryEngine, lab: SnapshotLab) -> None:
    lab.table("home", room="tag", temp="float64").add_memory(
        [{"room": room, "temp": temp, "time": temp} for room, temp in (("Kitchen", 1), ("Attic", 2), ("Attic", 3))]
    )
    query = "SELECT temp FROM home WHERE room = $room AND time >= $start AND temp < $limit + 1 ORDER BY temp LIMIT $n"
    parameters = {"room": "Attic", "start": "1970-01-01T00:00:00", "limit": 2, "n": 5}
    assert engine.sql("db", query, parameters).read_all()["temp"].to_pylist() == [2.0]


def test_a_placeholder_without_a_value_is_named_with_the_nearest_parameter(engine: QueryEngine) -> None:
    with pytest.raises(InvalidParameter, match=r"No value found for placeholder with name \$host; did you mean 'hots'"):
        engine.sql("db", "SELECT $host", {"hots": "a"})
    with pytest.raises(InvalidParameter, match=r"\$host"):
        engine.sql("db", "SELECT $host")


def test_a_value_that_is_not_used_is_ignored(engine: QueryEngine) -> None:
    assert engine.sql("db", "SELECT $a AS a", {"a": 1, "b": 2}).read_all()["a"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("value", "kind"), [([1], "JSON array"), ({"a": 1}, "JSON object"), (2**64, "64 bits"), ("\ud800", "Unicode")]
)
def test_a_value_of_another_kind_is_refused(value: Any, kind: str) -> None:
    with pytest.raises(InvalidParameter, match=kind):
        _bind("SELECT $p", {"p": value})


@given(st.text(max_size=30))
def test_a_value_comes_back_as_it_was_given(value: str) -> None:
    assert _bind("SELECT '$p'", {"p": value}).values["p"].as_py() == value
    assert _bind("SELECT '$p'", {"p": value}).text == "SELECT  $p "
