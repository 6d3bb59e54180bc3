"""Decimal text to machine numbers: the same bits as Python's own conversion, for every kind of number."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from headrace.wal import lp_numbers
from headrace.wal.lp_scratch import address_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

_TEXT = np.zeros(512, np.int64)


def number(text: str) -> tuple[int, int, int]:
    """Kind, bits and length of the number at the start of ``text``."""
    raw = text.encode() + b"\n"
    _TEXT.view(np.uint8)[: len(raw)] = np.frombuffer(raw, np.uint8)
    kind, bits, end = lp_numbers.number(address_of(_TEXT))
    return kind, bits, end - address_of(_TEXT)


def bits(value: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


def assert_nearest(text: str) -> None:
    kind, got, length = number(text)
    assert length == len(text)
    if kind == lp_numbers.LONG_FLOAT:
        assert len(text.lower().split("e")[0].strip("-").replace(".", "").strip("0")) > 17 or len(text) > 19
    else:
        assert (kind, got) == (lp_numbers.FLOAT, bits(float(text)))


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(5e-324)
@example(2.2250738585072014e-308)
@example(2.2250738585072011e-308)
@example(1.7976931348623157e308)
@example(9007199254740993.0)
@settings(max_examples=2000, deadline=None)
def test_the_shortest_text_of_any_double_gives_it_back(value: float) -> None:
    assert_nearest(repr(value))


@given(st.integers(0, 10**19 - 1), st.integers(-360, 330), st.booleans())
@example(9007199254740993, 0, False)  # halfway between two doubles
@example(1 << 63, -1074, False)
@example(17976931348623158, 292, False)
@settings(max_examples=3000, deadline=None)
def test_any_mantissa_and_power_round_to_nearest(mantissa: int, power: int, negative: bool) -> None:
    assert_nearest(f"{'-' if negative else ''}{mantissa}e{power}")


@given(st.integers(0, 10**12), st.text("0123456789", min_size=1, max_size=25))
@settings(max_examples=2000, deadline=None)
def test_any_decimal_fraction_rounds_to_nearest(whole: int, places: str) -> None:
    assert_nearest(f"{whole}.{places}")


@given(st.integers(-(10**21), 10**21), st.integers(0, 5))
@settings(max_examples=2000, deadline=None)
def test_integers_fit_or_overflow(value: int, zeros: int) -> None:
    sign, digits = ("-", str(-value)) if value < 0 else ("", str(value))
    text = f"{sign}{'0' * zeros}{digits}"
    if -(1 << 63) <= value < 1 << 63:
        assert number(text + "i") == (lp_numbers.INTEGER, value, len(text) + 1)
    else:
        assert number(text + "i") == (lp_numbers.INTEGER_OVERFLOW, 0, len(text))
    if value >= 0:
        kind, got, length = number(text + "u")
        if value < 1 << 64:
            assert (kind, got % (1 << 64), length) == (lp_numbers.UINTEGER, value, len(text) + 1)
        else:
            assert (kind, length) == (lp_numbers.UINTEGER_OVERFLOW, len(text))


@pytest.mark.parametrize(
    ("text", "length"), [("1.", 1), ("1.x", 1), ("1e", 1), ("1.5e+", 3), ("2E-x", 1), ("-7u", 2), ("1.5i", 3)]
)
def test_what_does_not_belong_to_the_number_is_left(text: str, length: int) -> None:
    kind, _, end = number(text)
    assert (kind, end) == (lp_numbers.FLOAT, length)


@pytest.mark.parametrize("text", ["", "-", "x", ".5", "+1", "e5", "-x"])
def test_what_is_no_number(text: str) -> None:
    assert number(text)[0] == lp_numbers.NOT_A_NUMBER
