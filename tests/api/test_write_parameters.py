from __future__ import annotations

import pytest
from headrace.api.errors import InvalidRequest
from headrace.api.write_parameters import WriteApi, WriteParameters, parse_write_parameters
from headrace.wal.errors import InvalidPrecision
from headrace.wal.line_protocol import Precision


def test_v3_stores_good_lines_and_syncs_unless_asked_otherwise() -> None:
    assert parse_write_parameters(WriteApi.V3, b"db=home") == WriteParameters("home", Precision.AUTO, True, True)
    asked = parse_write_parameters(WriteApi.V3, b"db=home&precision=second&accept_partial=false&no_sync=true")
    assert asked == WriteParameters("home", Precision.SECOND, False, False)


def test_v1_and_v2_take_all_lines_or_none_and_always_sync() -> None:
    expected = WriteParameters("home", Precision.NANOSECOND, False, True)
    assert parse_write_parameters(WriteApi.V2, b"bucket=home&org=x&no_sync=true") == expected
    assert parse_write_parameters(WriteApi.V1, b"db=home&no_sync=true&accept_partial=true") == expected


@pytest.mark.parametrize(
    ("policy", "database"),
    [("", "home"), ("autogen", "home"), ("DEFAULT", "home"), ("''", "home"), ("Weekly", "home/weekly")],
)
def test_a_retention_policy_of_v1_is_part_of_the_name_unless_it_is_the_default(policy: str, database: str) -> None:
    assert parse_write_parameters(WriteApi.V1, f"db=home&rp={policy}".encode()).database == database


@pytest.mark.parametrize("api", list(WriteApi))
@pytest.mark.parametrize(
    ("spelling", "precision"),
    [
        ("s", Precision.SECOND),
        ("ms", Precision.MILLISECOND),
        ("u", Precision.MICROSECOND),
        ("ns", Precision.NANOSECOND),
    ],
)
def test_every_api_takes_the_short_spellings_of_precisions(api: WriteApi, spelling: str, precision: Precision) -> None:
    query = f"db=x&bucket=x&precision={spelling}".encode()
    assert parse_write_parameters(api, query).precision is precision


def test_names_are_unquoted() -> None:
    assert parse_write_parameters(WriteApi.V3, b"db=a%2Fb").database == "a/b"


@pytest.mark.parametrize(
    ("api", "query", "message"),
    [
        (WriteApi.V3, b"", "missing query parameter 'db'"),
        (WriteApi.V1, b"precision=s", "missing query parameter 'db'"),
        (WriteApi.V2, b"org=x", "missing bucket value"),
        (WriteApi.V2, b"bucket=", "missing bucket value"),
        (WriteApi.V3, b"db=x&accept_partial=maybe", "'accept_partial' is 'maybe'; it must be true or false"),
        (WriteApi.V3, b"db=%ff", "the query string cannot be read"),
        (WriteApi.V3, b"db=x&" + b"a=1&" * 100, "the query string cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused(api: WriteApi, query: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse_write_parameters(api, query)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(InvalidPrecision, match="fortnight"):
        parse_write_parameters(WriteApi.V3, b"db=x&precision=fortnight")
