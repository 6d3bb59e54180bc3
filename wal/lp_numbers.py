"""Decimal text to machine numbers, exactly.

Digits are read eight at a time with the SWAR method (three multiplications turn eight ASCII digits
into their value). Floats are correctly rounded: Clinger's exact case where mantissa and power of
ten are both exact doubles, otherwise the algorithm of Lemire, "Number parsing at a gigabyte per
second" (Software: Practice and Experience 51, 2021), with the 128-bit powers of five it defines;
for mantissas of at most 19 digits it needs no fallback (Mushtak and Lemire, "Fast number parsing
without fallback", 2023). Longer mantissas are left to the caller.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from headrace.wal.lp_words import (
    HIGHS,
    LOWS,
    as_bits,
    below,
    compiled,
    every_byte,
    leading_zeros,
    load8,
    load64,
    multiply_high,
    shift_right,
    signed,
    trailing_zeros,
)

NOT_A_NUMBER: Final = 0
FLOAT: Final = 2
INTEGER: Final = 3
UINTEGER: Final = 4
# The text is a number of its kind, but not one of the machine's.
INTEGER_OVERFLOW: Final = 5
UINTEGER_OVERFLOW: Final = 6
# A float of more digits than the kernels convert.
LONG_FLOAT: Final = 7

_ZEROS: Final = every_byte(ord("0"))
_ABOVE_NINE: Final = every_byte(0x76)
_PAIRS: Final = 0x000000FF000000FF
_HUNDREDS: Final = 0x000F424000000064
_UNITS: Final = 0x0000271000000001
_LOW_HALF: Final = 0xFFFFFFFF
_MAX: Final = (1 << 63) - 1
_MIN: Final = -(1 << 63)
_TEN_TO_19: Final = signed(10**19)

_POWERS: Final = np.array([10**n for n in range(19)], np.int64)
_FLOAT_POWERS: Final = np.array([10.0**n for n in range(23)], np.float64)
_SMALLEST_POWER: Final = -342
_LARGEST_POWER: Final = 308


def _powers_of_five() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Upper and lower half of the leading 128 bits of 5**q, truncated; of reciprocals, rounded up."""
    words = []
    for q in range(_SMALLEST_POWER, _LARGEST_POWER + 1):
        power = 5 ** abs(q)
        if q >= 0:
            shift = power.bit_length() - 128
            leading = power >> shift if shift > 0 else power << -shift
        else:
            bits = power.bit_length() if power & (power - 1) else power.bit_length() - 1
            leading = (1 << (bits + 127)) // power + 1 if q >= -27 else (1 << (2 * bits + 128)) // power + 1
            leading >>= max(0, leading.bit_length() - 128)
        words += [signed(leading >> 64), signed(leading & ((1 << 64) - 1))]
    return np.array(words, np.int64)


_FIVES: Final = _powers_of_five()


@compiled
def eight_digits(values: int) -> int:
    """The number whose eight decimal digits are the bytes of ``values``, each 0 to 9."""
    values = values * 10 + shift_right(values, 8)
    values = (values & _PAIRS) * _HUNDREDS + (shift_right(values, 16) & _PAIRS) * _UNITS
    return shift_right(values, 32)


@compiled
def digits(at: int) -> tuple[int, int]:
    """How many digits stand at ``at``, and their value modulo 2**64."""
    count = 0
    total = 0
    while True:
        values = load64(at + count) ^ _ZEROS
        others = (((values & LOWS) + _ABOVE_NINE) | values) & HIGHS
        if others != 0:
            more = trailing_zeros(others) >> 3
            if more == 0:
                return count, total
            value = eight_digits(values << ((8 - more) << 3))
            return count + more, value if count == 0 else total * _POWERS[more] + value
        total = total * 100_000_000 + eight_digits(values)
        count += 8


@compiled
def leading_zero_digits(at: int, end: int) -> int:
    count = 0
    while at + count < end and load8(at + count) == 48:
        count += 1
    return count


@compiled
def in_range(negative: bool, count: int, value: int, at: int) -> bool:
    """Whether the digits at ``at``, of this count and value modulo 2**64, fit into an int64 with this sign."""
    if count > 18:
        count -= leading_zero_digits(at, at + count)
        if count > 19:
            return False
        # At most 19 digits: value is exact as an unsigned word.
        return value >= 0 or (negative and value == _MIN)
    return True


@compiled
def in_unsigned_range(count: int, value: int, at: int) -> bool:
    """Whether the digits at ``at`` fit into a uint64."""
    if count > 19:
        zeros = leading_zero_digits(at, at + count)
        # Twenty digits fit when they start with 1 and did not wrap below 10**19.
        fits = count - zeros == 20 and load8(at + zeros) == 49 and not below(value, _TEN_TO_19)
        return count - zeros < 20 or fits
    return True


@compiled
def decimal(negative: bool, mantissa: int, power: int) -> int:
    """The bits of the double nearest to ``mantissa * 10**power``; the mantissa is unsigned."""
    if mantissa == 0:
        return _MIN if negative else 0
    if -22 <= power <= 22 and 0 <= mantissa < (1 << 53):
        number = float(mantissa)
        number = number * _FLOAT_POWERS[power] if power >= 0 else number / _FLOAT_POWERS[-power]
        return as_bits(-number if negative else number)
    return _nearest(mantissa, power) | (_MIN if negative else 0)


@compiled
def _nearest(mantissa: int, power: int) -> int:
    infinity = 0x7FF << 52
    if power < _SMALLEST_POWER:
        return 0
    if power > _LARGEST_POWER:
        return infinity
    zeros = leading_zeros(mantissa)
    mantissa <<= zeros
    index = 2 * (power - _SMALLEST_POWER)
    high = multiply_high(mantissa, _FIVES[index])
    low = mantissa * _FIVES[index]
    if high & 0x1FF == 0x1FF:
        carry = multiply_high(mantissa, _FIVES[index + 1])
        low += carry
        if below(low, carry):
            high += 1
    upper = shift_right(high, 63)
    shift = upper + 9
    result = shift_right(high, shift)
    exponent = ((217706 * power) >> 16) + 63 + upper - zeros + 1023
    if exponent <= 0:
        if exponent <= -63:
            return 0
        result = shift_right(result, 1 - exponent)
        result = shift_right(result + (result & 1), 1)
        return result  # a carry into bit 52 makes it the smallest normal number, as it should
    if 0 <= low <= 1 and -4 <= power <= 23 and result & 3 == 1 and result << shift == high:
        result &= ~1
    result = shift_right(result + (result & 1), 1)
    if result >= 1 << 53:
        result = 1 << 52
        exponent += 1
    if exponent >= 0x7FF:
        return infinity
    return (result & ((1 << 52) - 1)) | (exponent << 52)


@compiled
def number(at: int) -> tuple[int, int, int]:
    """The kind of the number at ``at``, its 64 bits, and where it ends (before its ``i`` or ``u`` if it overflows)."""
    negative = load8(at) == 45
    start = at + 1 if negative else at
    count, value = digits(start)
    if count == 0:
        return NOT_A_NUMBER, 0, at
    end = start + count
    char = load8(end)
    if char == 105:
        if not in_range(negative, count, value, start):
            return INTEGER_OVERFLOW, 0, end
        return INTEGER, -value if negative else value, end + 1
    if char == 117 and not negative:
        if not in_unsigned_range(count, value, start):
            return UINTEGER_OVERFLOW, 0, end
        return UINTEGER, value, end + 1
    power = 0
    if char == 46:
        places, fraction = digits(end + 1)
        if places > 0:
            power = -places
            if value == 0 and count <= 18:
                count = places - leading_zero_digits(end + 1, end + 1 + places)
                value = fraction
            else:
                count += places
                if count <= 19:
                    value = value * _POWERS[places] + fraction
            end += 1 + places
            char = load8(end)
    if char == 101 or char == 69:
        sign = load8(end + 1)
        first = end + 2 if sign == 43 or sign == 45 else end + 1
        places, exponent = digits(first)
        if places > 0:
            if places > 9:
                return LONG_FLOAT, 0, first + places
            power += -exponent if sign == 45 else exponent
            end = first + places
    if count > 19:
        return LONG_FLOAT, 0, end
    return FLOAT, decimal(negative, value, power), end
