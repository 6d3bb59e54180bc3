"""Who may ask: the one place where tokens are checked, before anything of a request's body is read.

A token comes in an ``Authorization`` header (``Bearer`` or ``Token`` scheme, or as the password of
``Basic``) or, on the two v1 paths, in the ``p`` query parameter. Only its SHA-512 is known here: that is
what the catalog holds.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Collection, Iterable
from typing import Any, Final
from urllib.parse import parse_qsl

from headrace.api.errors import EndpointDisabled, MalformedAuthorization, Unauthenticated
from headrace.storage.catalog import Catalog, TokenInfo

ADMIN_TOKEN_PATH: Final = "/api/v3/configure/token/admin"
_TOKEN_PATHS: Final = "/api/v3/configure/token"
_V1_PATHS: Final = frozenset({"/write", "/query"})


class Authenticator:
    """Checks requests against the catalog's tokens.

    ``open_paths`` need no token. ``required=False`` is ``--without-auth``: every request passes, and
    the endpoints that make tokens are off.
    """

    def __init__(self, catalog: Catalog, *, required: bool, open_paths: Collection[str] = ()) -> None:
        self._catalog = catalog
        self._required = required
        # The first admin token is made without a token; there is nothing to check against before.
        self._open_paths = frozenset(open_paths) | {ADMIN_TOKEN_PATH}

    def check(self, scope: dict[str, Any]) -> TokenInfo | None:
        """The token of a request, or None if it needs none.

        Raises Unauthenticated, MalformedAuthorization, EndpointDisabled.
        """
        path = scope["path"]
        if not self._required:
            if path.startswith(_TOKEN_PATHS):
                raise EndpointDisabled("endpoint disabled, started without auth")
            return None
        if path in self._open_paths:
            return None
        token = _v1_password(scope["query_string"]) if path in _V1_PATHS else None
        if token is None:
            token = token_from_headers(scope["headers"])
        return self.authenticate(token)

    def authenticate(self, token: bytes | None) -> TokenInfo:
        """The catalog's entry for ``token``; raises Unauthenticated."""
        if token is None:
            raise Unauthenticated
        digest = hashlib.sha512(token).hexdigest()
        found = self._catalog.token_by_hash(digest)
        if found is None or not hmac.compare_digest(found.hash, digest) or found.expired(time.time_ns()):
            raise Unauthenticated
        return found


def token_from_headers(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The token in the first ``Authorization`` header, None if there is none; raises MalformedAuthorization."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if not token or b" " in token or scheme not in (b"Bearer", b"Token", b"Basic"):
                raise MalformedAuthorization
            return _password(token) if scheme == b"Basic" else token
    return None


def _password(encoded: bytes) -> bytes:
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise MalformedAuthorization from None
    user, colon, password = decoded.rpartition(":")
    if not colon or ":" in user:
        raise MalformedAuthorization
    return password.encode()


def _v1_password(query: bytes) -> bytes | None:
    if b"p=" not in query:
        return None
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == b"p":
            return value
    return None
