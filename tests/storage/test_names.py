from __future__ import annotations

from collections.abc import Callable

import pytest
from headrace.storage import names
from headrace.storage.errors import InvalidDatabaseName, InvalidName
from headrace.storage.names import check_column_name, check_database_name, check_table_name
from headrace.storage.suggest import did_you_mean, nearest
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "name",
    ["a", "7", "mydb", "sensor_data", "prod-metrics", "telegraf/autogen", "webmetrics/1w-downsampled", "x" * 511],
)
def test_database_names_of_influxdb_3_are_taken(name: str) -> None:
    check_database_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "cannot be empty"),
        ("x" * 512, "too long: max 511"),
        ("_internal", "did not start with a number or letter: '_internal'"),
        ("-a", "did not start with a number or letter"),
        ("/a", "did not start with a number or letter"),
        ("ätzend", "did not start with a number or letter"),
        ("my database", "invalid character"),
        ("sensor.data", "invalid character"),
        ("a/../b", "invalid character"),
        ("a\0", "invalid character"),
        ("a\n", "invalid character"),
        ("größe", "invalid character"),
        ("a/b/c", "<db_name>/<rp_name>"),
        ("a/", "<db_name>/<rp_name>"),
    ],
)
def test_other_database_names_are_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(InvalidDatabaseName, match=reason) as caught:
        check_database_name(name)
    assert caught.value.status == 400


@given(st.text(max_size=20))
def test_a_database_name_that_is_taken_is_safe_in_a_path(name: str) -> None:
    try:
        check_database_name(name)
    except InvalidDatabaseName:
        return
    assert name.isascii()
    assert ".." not in name
    assert not name.startswith("/")


@pytest.mark.parametrize("check", [check_table_name, check_column_name, names.check_trigger_name])
@pytest.mark.parametrize(
    "name", ["cpu", "my table", "cpu.usage", "웹서버_메트릭스", "_x", "a=b,c", "x" * 1024, "'\"\\"]
)
def test_other_things_may_be_called_almost_anything(check: Callable[[str], None], name: str) -> None:
    check(name)


@pytest.mark.parametrize("check", [check_table_name, check_column_name, names.check_token_name])
@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "a\rb", "x" * 1025, "é" * 513, "\ud800"])
def test_names_that_nothing_can_carry_are_refused(check: Callable[[str], None], name: str) -> None:
    with pytest.raises(InvalidName):
        check(name)


@pytest.mark.parametrize("name", ["time", "__chunk_order"])
def test_reserved_columns_are_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidName, match=f"'{name}' is a reserved column"):
        check_column_name(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("kitchn", "kitchen"), ("KITCHEN", "kitchen"), ("temp", "temps"), ("zzz", None), ("", None), ("bath", "bath")],
)
def test_the_nearest_name_is_the_one_most_alike(name: str, expected: str | None) -> None:
    assert nearest(name, ["kitchen", "temps", "bath", "temperature"]) == expected


def test_a_hint_ends_a_message_or_is_empty() -> None:
    assert did_you_mean("cpi", ["cpu"]) == "; did you mean 'cpu'?"
    assert did_you_mean("cpi", []) == ""


@given(st.text(max_size=100), st.lists(st.text(max_size=100), max_size=20))
def test_the_nearest_name_is_always_one_of_the_candidates(name: str, candidates: list[str]) -> None:
    found = nearest(name, candidates)
    assert found is None or found in candidates
    if name and name in candidates:
        assert found is not None
        assert found.casefold()[:64] == name.casefold()[:64]
