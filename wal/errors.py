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


class WalClosed(WalFailed):
    """The log was closed, or is closing: the server is shutting down."""


class WalLocked(WalError):
    """Another process has the log's directory open."""


class WalDamaged(WalError):
    """A frame that is not the torn tail of the last segment failed its checks, or frames are missing."""


class WalVersion(WalError):
    """The log was written by a release whose format this one does not know. Nothing is wrong with it."""


class WalTrimmed(WalError):
    """Frames that were asked for have been deleted by ``trim``.

    ``first_retained`` is the oldest sequence that can still be read.
    """

    def __init__(self, message: str, first_retained: int) -> None:
        super().__init__(message)
        self.first_retained = first_retained


class FrameTooLarge(WalError):
    """One write does not fit into a frame; send it in parts."""

    status: ClassVar[int] = 413


class InvalidPrecision(HeadraceError):
    """A write names a timestamp precision that none of the write APIs knows."""

    status: ClassVar[int] = 400


class BodyTooLarge(HeadraceError):
    """One body of line protocol is longer than 32-bit string offsets can address."""

    status: ClassVar[int] = 413
