from __future__ import annotations

import math

import pytest
from headrace.processing.line_builder import (
    InvalidKeyError,
    InvalidLineError,
    InvalidMeasurementError,
    LineBuilder,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def test_a_line_has_tags_then_fields_then_the_time() -> None:
    line = LineBuilder("home").tag("room", "Living Room").float64_field("temp", 21.5).int64_field("n", 3)
    line.uint64_field("u", 4).bool_field("ok", True).string_field("s", 'a "quoted" \\ text').time_ns(1302)
    assert line.build() == ('home,room=Living\\ Room temp=21.5,n=3i,u=4u,ok=t,s="a \\"quoted\\" \\\\ text" 1302')


def test_without_a_field_there_is_no_line() -> None:
    with pytest.raises(InvalidLineError, match="At least one field"):
        LineBuilder("home").tag("a", "b").build()


@pytest.mark.parametrize("name", ["", "a b", "a\nb"])
def test_measurement_names_are_checked(name: str) -> None:
    with pytest.raises(InvalidMeasurementError):
        LineBuilder(name)


@pytest.mark.parametrize("key", ["", "a b", "a,b", "a=b", "a\nb"])
def test_keys_are_checked(key: str) -> None:
    with pytest.raises(InvalidKeyError):
        LineBuilder("m").tag(key, "v")
    with pytest.raises(InvalidKeyError):
        LineBuilder("m").float64_field(key, 1.0)


def test_values_that_line_protocol_cannot_hold_are_refused() -> None:
    line = LineBuilder("m")
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError):
            line.float64_field("f", value)
    for number in (1 << 63, -(1 << 63) - 1):
        with pytest.raises(ValueError):
            line.int64_field("i", number)
    for number in (-1, 1 << 64):
        with pytest.raises(ValueError):
            line.uint64_field("u", number)
    with pytest.raises(InvalidLineError):
        line.tag("t", "two\nlines")


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_every_digit(value: float) -> None:
    text = LineBuilder("m").float64_field("f", value).build().split("=")[1]
    assert float(text) == value


@settings(deadline=None)
@given(st.text(st.characters(blacklist_categories=("Cs",))))
def test_string_fields_unescape_to_what_they_were(value: str) -> None:
    text = LineBuilder("m").string_field("f", value).fields["f"]
    out, escaped = [], False
    for character in text[1:-1]:
        if escaped or character != "\\":
            out.append(character)
            escaped = False
        else:
            escaped = True
    assert "".join(out) == value
