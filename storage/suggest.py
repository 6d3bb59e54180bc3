"""Did you mean …? The nearest of the names that exist."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import islice

_MAX_CANDIDATES = 5_000
_MAX_LENGTH = 64
_CUTOFF = 0.6


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like ``name``, or None if none is like it.

    A name that differs in case only wins. Looks at 5,000 candidates and their first 64 characters at most:
    a wrong name must not cost much.
    """
    wanted = name[:_MAX_LENGTH].casefold()
    matcher = SequenceMatcher(b=wanted, autojunk=False)
    best, best_ratio = None, _CUTOFF
    for candidate in islice(candidates, _MAX_CANDIDATES):
        folded = candidate[:_MAX_LENGTH].casefold()
        if folded == wanted:
            return candidate
        # Twice the shorter length over both bounds the ratio: most candidates end here.
        if 2 * min(len(folded), len(wanted)) < best_ratio * (len(folded) + len(wanted)):
            continue
        matcher.set_seq1(folded)
        if matcher.quick_ratio() > best_ratio and (ratio := matcher.ratio()) > best_ratio:
            best, best_ratio = candidate, ratio
    return best


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """``; did you mean 'x'?`` to end an error message with, or nothing."""
    found = nearest(name, candidates)
    return "" if found is None else f"; did you mean {found!r}?"
