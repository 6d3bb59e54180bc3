"""Lists of ``key=value`` as ``--trigger-arguments`` and ``--input-arguments`` take them.

Items are separated by commas and split at their first ``=``, as in InfluxDB 3. A comma that belongs
to a value is written ``\\,`` (an addition: there it cannot be written at all).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable

_COMMA = re.compile(r"(?<!\\),")


def pairs(text: str) -> dict[str, str]:
    """``k=v,k2=v2`` as a dict. Raises ``ArgumentTypeError`` for an item without ``=``."""
    found: dict[str, str] = {}
    for item in _COMMA.split(text):
        key, equals, value = item.replace("\\,", ",").partition("=")
        if not equals:
            raise argparse.ArgumentTypeError(f"invalid value '{item}': must be formatted as \"key=value\"")
        found[key] = value
    return found


def merged(options: Iterable[dict[str, str]] | None) -> dict[str, str] | None:
    """The items of an option that was given several times; None where it was not given at all."""
    if options is None:
        return None
    return {key: value for option in options for key, value in option.items()}
