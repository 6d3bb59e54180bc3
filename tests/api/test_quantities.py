from __future__ import annotations

import pytest
from headrace.api.quantities import (
    Address,
    available_memory,
    format_bytes,
    parse_address,
    parse_bytes,
    parse_megabytes,
    parse_seconds,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1024", 1024),
        ("10b", 10),
        ("10kb", 10 << 10),
        ("10MB", 10 << 20),
        ("1.5gb", 3 << 29),
        ("2 tb", 2 << 40),
        ("64MiB", 64 << 20),
    ],
)
def test_a_size_is_a_number_and_a_unit(text: str, expected: int) -> None:
    assert parse_bytes(text) == expected


def test_a_bare_number_means_megabytes_where_it_always_did() -> None:
    assert parse_megabytes("8") == 8 << 20
    assert parse_megabytes("8kb") == 8 << 10


def test_a_percentage_is_of_the_memory_the_process_may_use() -> None:
    assert parse_bytes("100%") == available_memory()
    assert parse_bytes("0%") == 0
    assert 0 < parse_bytes("12.5%") < available_memory() // 7


@pytest.mark.parametrize("text", ["", "mb", "-1mb", "1pb", "1mb2", "10 %%", "101%", "-1%", "x%"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a|out of range"):
        parse_bytes(text)


@given(st.integers(0, 1 << 44))
def test_a_formatted_size_reads_back(size: int) -> None:
    assert parse_bytes(format_bytes(size)) == size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8181", Address("127.0.0.1", 8181)),
        (":80", Address("0.0.0.0", 80)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:8181", Address("::1", 8181)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, expected: Address) -> None:
    assert parse_address(text) == expected


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    assert str(Address("::1", 8181)) == "[::1]:8181"


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", "localhost:http", "localhost:65536", "::1:8181"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        parse_address(text)


def test_durations_are_seconds() -> None:
    assert parse_seconds("250ms") == 0.25
    assert parse_seconds(" 1h30m ") == 5400
    with pytest.raises(ValueError, match="is not a duration"):
        parse_seconds("soon")
