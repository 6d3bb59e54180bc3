"""Where names, strings and lines end, and what their escapes stand for.

This is the grammar's general form, one byte at a time. It decides every line that the fast loop
in ``lp_scan`` does not take.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from headrace.wal.lp_words import (
    BACKSLASHES,
    COMMAS,
    EQUALS,
    HIGHS,
    NEWLINES,
    QUOTES,
    compiled,
    control_bytes,
    copy,
    load8,
    load64,
    store8,
    trailing_zeros,
    zero_bytes,
)

MEASUREMENT: Final = 1
KEY: Final = 2
TAG_VALUE: Final = 4

# What a token turned out to be.
EMPTY: Final = 0
PLAIN: Final = 1
ESCAPED: Final = 2
ENDS_WITH_BACKSLASH: Final = 3
TOO_LONG: Final = 4

STRING_LIMIT: Final = 1 << 20
"""Bytes of a name, a tag value or a string, after its escapes are resolved."""

_TAB, _NEWLINE, _SPACE, _QUOTE, _COMMA, _EQUALS, _BACKSLASH = b'\t\n ",=\\'


def _stops() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Which bytes end which tokens, a bit a token. A backslash ends none: it is looked at first."""
    stops = np.zeros(256, np.uint8)
    stops[[_TAB, _NEWLINE, _SPACE]] = MEASUREMENT | KEY | TAG_VALUE
    stops[0] = MEASUREMENT
    stops[_COMMA] = MEASUREMENT | TAG_VALUE
    stops[_EQUALS] = KEY
    return stops


def _escapable() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Which bytes a backslash vanishes before, a bit a token; before others it stands for itself."""
    escapable = np.zeros(256, np.uint8)
    escapable[[_BACKSLASH, _COMMA, _SPACE]] = MEASUREMENT | KEY | TAG_VALUE
    escapable[_EQUALS] = KEY | TAG_VALUE
    return escapable


_STOPS: Final = _stops()
_ESCAPABLE: Final = _escapable()


@compiled
def special(word: int, kind: int) -> int:
    """Marks, as :func:`zero_bytes` does, the first byte that may end or change a token of this kind."""
    stops = control_bytes(word) | zero_bytes(word ^ BACKSLASHES)
    return stops | (zero_bytes(word ^ EQUALS) if kind == KEY else zero_bytes(word ^ COMMAS))


@compiled
def token(at: int, end: int, kind: int) -> tuple[int, int]:
    """Where the token at ``at`` ends, at the latest at ``end``, and what it turned out to be."""
    start = at
    escapes = 0
    backslash_last = False
    while at < end:
        stops = special(load64(at), kind)
        plain = 8 if stops == 0 else trailing_zeros(stops) >> 3
        if plain > 0:
            at = min(at + plain, end)
            backslash_last = False
            continue
        char = load8(at)
        if char == _BACKSLASH:
            if at + 1 == end:
                return end, ENDS_WITH_BACKSLASH
            follower = load8(at + 1)
            backslash_last = follower == _BACKSLASH
            if _ESCAPABLE[follower] & kind:
                escapes += 1
            at += 2
            continue
        if _STOPS[char] & kind:
            break
        backslash_last = False
        at += 1
    if at == start:
        return at, EMPTY
    if backslash_last:
        return at, ENDS_WITH_BACKSLASH
    if at - start - escapes > STRING_LIMIT:
        return at, TOO_LONG
    return at, ESCAPED if escapes > 0 else PLAIN


@compiled
def resolve(at: int, end: int, kind: int, target: int) -> int:
    """Write the token to ``target`` with its escapes resolved; gives its length."""
    start = target
    while at < end:
        char = load8(at)
        if char == _BACKSLASH and at + 1 < end and _ESCAPABLE[load8(at + 1)] & kind:
            at += 1
            char = load8(at)
        elif char == _BACKSLASH and at + 1 < end:
            store8(target, char)
            target += 1
            at += 1
            char = load8(at)
        store8(target, char)
        target += 1
        at += 1
    return target - start


@compiled
def string_end(at: int, end: int) -> tuple[int, int]:
    """The closing quote of the string whose text starts at ``at``, and its number of escapes; 0 if there is none."""
    escapes = 0
    while at < end:
        word = load64(at)
        stops = zero_bytes(word ^ QUOTES) | zero_bytes(word ^ BACKSLASHES)
        if stops == 0:
            at += 8
            continue
        at += trailing_zeros(stops) >> 3
        if at >= end:
            break
        if load8(at) == _QUOTE:
            return at, escapes
        if at + 1 < end:
            follower = load8(at + 1)
            if follower in (_QUOTE, _BACKSLASH):
                escapes += 1
        at += 2
    return 0, escapes


@compiled
def resolve_string(at: int, end: int, target: int) -> int:
    """Write the string's text to ``target`` with its escapes resolved; gives its length."""
    start = target
    run = at
    while at < end:
        if load8(at) == _BACKSLASH and at + 1 < end:
            follower = load8(at + 1)
            if follower in (_QUOTE, _BACKSLASH):
                copy(target, run, at - run)
                target += at - run
                run = at + 1
            at += 1
        at += 1
    copy(target, run, end - run)
    return target + end - run - start


@compiled
def line_end(at: int, end: int) -> tuple[int, bool]:
    """The newline that ends the line at ``at``, and whether it ends before ``end`` at all.

    A newline ends a line unless a backslash stands before it or it is inside a quoted field value.
    As in the peer, a quote opens a value only while more unescaped equals signs than commas have
    gone by since the first unescaped space.
    """
    plain = at
    while plain < end:
        word = load64(plain)
        stops = zero_bytes(word ^ NEWLINES) | zero_bytes(word ^ QUOTES) | zero_bytes(word ^ BACKSLASHES)
        if stops != 0:
            plain += trailing_zeros(stops) >> 3
            break
        plain += 8
    if plain < end and load8(plain) == _NEWLINE:
        return plain, True  # nothing before it that could keep it from ending the line
    in_fields = False
    quoted = False
    open_keys = 0
    while at < end:
        char = load8(at)
        if char == _BACKSLASH:
            at += 1
        elif char == _NEWLINE:
            if not quoted:
                return at, True
        elif char == _SPACE:
            in_fields = True
        elif in_fields:
            if char == _QUOTE:
                if open_keys > 0:
                    quoted = not quoted
            elif not quoted:
                if char == _EQUALS:
                    open_keys += 1
                elif char == _COMMA:
                    open_keys -= 1
        at += 1
    return end, False


@compiled
def is_utf8(at: int, end: int) -> bool:
    """Whether the text is well-formed UTF-8 (Unicode Standard, table 3-7)."""
    while at < end:
        if load64(at) & HIGHS == 0:
            at += 8
            continue
        lead = load8(at)
        at += 1
        if lead < 0x80:
            continue
        if lead < 0xC2 or lead > 0xF4:
            return False
        more = 1 if lead < 0xE0 else 2 if lead < 0xF0 else 3
        if at + more > end:
            return False
        second = load8(at)
        low = 0xA0 if lead == 0xE0 else 0x90 if lead == 0xF0 else 0x80
        high = 0x9F if lead == 0xED else 0x8F if lead == 0xF4 else 0xBF
        if second < low or second > high:
            return False
        for i in range(1, more):
            if load8(at + i) & 0xC0 != 0x80:
                return False
        at += more
    return True
