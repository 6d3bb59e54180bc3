from __future__ import annotations

import pytest
from headrace.query.errors import (
    DataFileUnreadable,
    InvalidQuery,
    MemoryExhausted,
    QueryError,
    QueryFailed,
    UnsupportedQuery,
)
from headrace.query.failures import translate
from headrace.storage.errors import DatabaseNotFound


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("DataFusion error: Error during planning: no", InvalidQuery, "Error during planning: no"),
        (
            "DataFusion error: type_coercion\ncaused by\nError during planning: no",
            InvalidQuery,
            "Error during planning: no",
        ),
        ("This feature is not implemented: x", UnsupportedQuery, "This feature is not implemented: x"),
        ("External error: Arrow error: Divide by zero error", InvalidQuery, "Arrow error: Divide by zero error"),
        (
            "DataFusion error: Optimizer rule 'x' failed\ncaused by\nExternal error: regex parse error:\n    (\n    ^",
            InvalidQuery,
            "regex parse error:",
        ),
        ("C Data interface error: Null byte at position 6 not allowed", InvalidQuery, "C Data interface error: Null"),
        ("DataFusion error: Resources exhausted: pool", MemoryExhausted, "Resources exhausted: pool"),
        ("Parquet error: bad footer in /var/lib/x", DataFileUnreadable, "a data file of the table cannot be read"),
        ("Object Store error: /var/lib/x", DataFileUnreadable, "a data file of the table cannot be read"),
        (
            "Error during planning: Internal error: Function 'sum' failed.\nThis issue was likely caused by a bug in "
            "DataFusion's code. Please help us.",
            InvalidQuery,
            "Error during planning: Function 'sum' failed",
        ),
    ],
)
def test_an_engine_error_is_told_by_its_last_cause(text: str, kind: type[QueryError], message: str) -> None:
    failure = translate(Exception(text))
    assert type(failure) is kind
    assert str(failure).startswith(message)
    assert "DataFusion" not in str(failure)


def test_what_is_no_engine_error_says_nothing_of_the_inside() -> None:
    failure = translate(NameError("name 'secret' is not defined"))
    assert type(failure) is QueryFailed
    assert "secret" not in str(failure)


def test_our_own_errors_stay_what_they_are() -> None:
    error = DatabaseNotFound("database not found: x")
    assert translate(error) is error


def test_hidden_paths_and_endless_messages_are_cut() -> None:
    failure = translate(Exception(f"Execution error: /data/dir/a.parquet {'x' * 5_000}"), hidden="/data/dir")
    assert "/data/dir" not in str(failure)
    assert len(str(failure)) < 2_100


def test_only_some_of_many_valid_fields_are_listed() -> None:
    fields = ", ".join(f"t.column_{at}" for at in range(500))
    failure = translate(
        Exception(f"Schema error: No field named colum_77. Did you mean 't.time'?\nValid fields are {fields}.")
    )
    assert "did you mean 'column_77'?" in str(failure)
    assert str(failure).endswith("t.column_19, ….")
