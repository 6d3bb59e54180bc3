"""Which names the catalog takes.

Database names follow InfluxDB 3: ASCII letters, digits, ``_`` and ``-``, beginning with a letter or digit,
at most 511 characters; one ``/`` may separate a database from a v1 retention policy (``telegraf/autogen``).

Tables, columns, triggers and tokens may be called almost anything, as line protocol allows. Refused are
empty names, names longer than 1,024 bytes, NUL and line breaks (which no line protocol can carry), and
two column names: ``time``, which every table has, and ``__chunk_order``, which InfluxDB 3 reserves.
Names are case-sensitive.
"""

from __future__ import annotations

import re
from typing import Final

from headrace.storage.errors import InvalidDatabaseName, InvalidName
from headrace.wal.schema import TIME_COLUMN

MAX_DATABASE_NAME: Final = 511
"""255 for a v1 database, 255 for a v1 retention policy, and the slash."""
MAX_NAME_BYTES: Final = 1024
RESERVED_COLUMNS: Final = frozenset({TIME_COLUMN, "__chunk_order"})
INTERNAL_DATABASE: Final = "_internal"
"""The database of the server's own tables. It always exists, and no name rule lets anyone write to it."""

_DATABASE_CHARACTERS: Final = re.compile(r"[A-Za-z0-9_/-]*")
_FORBIDDEN: Final = re.compile(r"[\0\r\n]")
_SHOWN: Final = 64


def check_database_name(name: str) -> None:
    """Raises InvalidDatabaseName."""
    if not name:
        raise InvalidDatabaseName("db name cannot be empty")
    if len(name) > MAX_DATABASE_NAME:
        raise InvalidDatabaseName(f"db name too long: max {MAX_DATABASE_NAME}, {shown(name)} has {len(name)}")
    if not (name[0].isascii() and name[0].isalnum()):
        raise InvalidDatabaseName(f"db name did not start with a number or letter: {shown(name)}")
    if _DATABASE_CHARACTERS.fullmatch(name) is None:
        raise InvalidDatabaseName(
            "invalid character in database or rp name: must be ASCII, containing only letters, numbers, underscores, "
            f"or hyphens: {shown(name)}"
        )
    if name.count("/") > 1 or name.endswith("/"):
        raise InvalidDatabaseName(
            "db name with invalid retention policy, if providing a retention policy name, must be of form "
            f"'<db_name>/<rp_name>': {shown(name)}"
        )


def check_table_name(name: str) -> None:
    """Raises InvalidName."""
    _check("table", name)


def check_column_name(name: str) -> None:
    """Raises InvalidName."""
    _check("column", name)
    if name in RESERVED_COLUMNS:
        raise InvalidName(f"{name!r} is a reserved column")


def check_trigger_name(name: str) -> None:
    """Raises InvalidName."""
    _check("trigger", name)


def check_token_name(name: str) -> None:
    """Raises InvalidName."""
    _check("token", name)


def shown(name: str) -> str:
    """The name in quotes, cut to a length that is fit for a message."""
    return repr(name) if len(name) <= _SHOWN else repr(name[:_SHOWN]) + "…"


def _check(kind: str, name: str) -> None:
    if not name:
        raise InvalidName(f"a {kind} name cannot be empty")
    # A character takes up to four bytes: only names near the bound are encoded to be measured.
    if 4 * len(name) > MAX_NAME_BYTES and len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        raise InvalidName(f"{kind} name too long: max {MAX_NAME_BYTES} bytes: {shown(name)}")
    if _FORBIDDEN.search(name):
        raise InvalidName(f"a {kind} name cannot hold NUL or line breaks: {shown(name)}")
    if not name.isascii() and any("\ud800" <= character <= "\udfff" for character in name):
        raise InvalidName(f"{kind} name that is not valid Unicode: {shown(name)}")
