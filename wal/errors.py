"""The root of every error headrace raises on purpose, and the write path's own.

Each package has its own ``errors`` module whose classes derive from :class:`HeadraceError`.
"""

from __future__ import annotations

from typing import ClassVar


class HeadraceError(Exception):
    """An error whose message is fit for the user who caused it.

    ``status`` is the HTTP status the API answers with; subclasses override it.
    """

    status: ClassVar[int] = 500

    @property
    def message(self) -> str:
        return str(self)


class WalError(HeadraceError):
    """Something is wrong with the write-ahead log itself, not with the caller's data."""


class WalFull(WalError):
    """The bounded commit queue stayed full for the whole waiting time; retry later."""

    status: ClassVar[int] = 503


class WalFailed(WalError):
    """The log could not be written or synced; writes are refused."""

    status: ClassVar[int] = 503


class WalDamaged(WalError):
    """A frame that is not the torn tail of the last segment failed its checks."""
