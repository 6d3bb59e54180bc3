"""What can go wrong in storage, each with the HTTP status it answers.

Messages begin as InfluxDB 3's do where clients may look at them, and go on to name what was refused
and what to do about it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from headrace.wal.errors import HeadraceError


class StorageError(HeadraceError):
    """Any refusal or failure of storage.

    ``part`` is the part of a write that is to blame as a whole, if it is one part alone.
    """

    part: Any = None


# Names and limits


class InvalidName(StorageError):
    """A name that breaks the rules of :mod:`headrace.storage.names`."""

    status: ClassVar[int] = 400


class InvalidDatabaseName(InvalidName):
    """A database name that breaks the rules."""


class LimitExceeded(StorageError):
    """A limit of the catalog would be passed; the message names the setting that raises it."""

    status: ClassVar[int] = 422


# Things that are not there, or already are


class NotFound(StorageError):
    """The catalog has nothing of that name; the message ends with the nearest name it has."""

    status: ClassVar[int] = 404


class DatabaseNotFound(NotFound):
    """There is no such database."""


class TableNotFound(NotFound):
    """There is no such table in the database."""


class TriggerNotFound(NotFound):
    """There is no such trigger in the database."""


class TokenNotFound(NotFound):
    """There is no such token."""


class AlreadyExists(StorageError):
    """Something of that name exists."""

    status: ClassVar[int] = 409


class AlreadyDeleted(StorageError):
    """What should be changed has been deleted."""

    status: ClassVar[int] = 409


# Requests that make no sense in the catalog's state


class InternalDatabase(StorageError):
    """``_internal`` holds the server's own tables: it cannot be written, changed or deleted."""

    status: ClassVar[int] = 400


class TriggerRunning(StorageError):
    """An enabled trigger is deleted only by force."""

    status: ClassVar[int] = 409


class OperatorTokenKept(StorageError):
    """The operator token ``_admin`` can be regenerated, never deleted."""

    status: ClassVar[int] = 405


class NoOperatorToken(StorageError):
    """There is no operator token to regenerate yet."""

    status: ClassVar[int] = 404


class InvalidHardDeletion(StorageError):
    """A time of hard deletion that cannot be read."""

    status: ClassVar[int] = 400


class InvalidLines(StorageError):
    """Line protocol in which each line that is refused makes another one bad, too often to go on."""

    status: ClassVar[int] = 422


class InvalidColumns(StorageError):
    """Columns that do not fit a table: the message names the table and the column."""

    status: ClassVar[int] = 400


# The store


class BufferFull(StorageError):
    """Memory is full of rows that are not in files yet; retry later."""

    status: ClassVar[int] = 503


class DiskFull(StorageError):
    """What is free on the disk is kept for moving rows to files; retry when there is more."""

    status: ClassVar[int] = 503


class StoreLocked(StorageError):
    """Another process has the store open."""


# Formats


class CatalogVersion(StorageError):
    """A catalog record or state that a newer release wrote. Nothing is wrong with it."""


class CatalogDamaged(StorageError):
    """A catalog record or state that makes no sense: it refers to what does not exist, or lacks a value."""


class ManifestVersion(StorageError):
    """The manifest was written by a newer release. Nothing is wrong with it."""


class ManifestDamaged(StorageError):
    """The manifest cannot be read, or lists what does not exist."""


class ManifestConflict(StorageError):
    """Another process has replaced the manifest: this one must not go on writing."""
