"""Tokens: how they are made, and the one thing that is kept of them.

A token is ``apiv3_`` and 64 random bytes in URL-safe base64 without padding, as InfluxDB 3 makes them. What is
stored is its SHA-512 in hex: 512 random bits cannot be guessed from it, so it needs no salt and no slow hash,
and a request finds its token with one look-up.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final

PREFIX: Final = "apiv3_"
OPERATOR_TOKEN: Final = "_admin"
"""The name of the first admin token: it can be regenerated, not deleted."""
_RANDOM_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made. ``text`` is shown to its owner once and kept nowhere, logs included."""

    text: str = field(repr=False)
    hash: str


def new_token() -> NewToken:
    """A token nobody has had before."""
    random = base64.urlsafe_b64encode(secrets.token_bytes(_RANDOM_BYTES)).rstrip(b"=").decode()
    text = PREFIX + random
    return NewToken(text, token_hash(text))


def token_hash(token: str | bytes) -> str:
    """The hex SHA-512 of a token, as the catalog stores it."""
    return hashlib.sha512(token.encode() if isinstance(token, str) else token).hexdigest()
