"""Errors of the engine, turned into errors for the one who asked.

DataFusion's errors reach Python as texts: a chain of contexts, whose last part says what is wrong and
begins with the kind of error.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Final

from headrace.query.errors import (
    DataFileUnreadable,
    InvalidQuery,
    MemoryExhausted,
    QueryError,
    QueryFailed,
    UnsupportedQuery,
)
from headrace.storage.suggest import did_you_mean
from headrace.wal.errors import HeadraceError

log = logging.getLogger(__name__)

_MAX_MESSAGE: Final = 2_000
_MAX_FIELDS: Final = 20
_KINDS: Final[Mapping[str, type[QueryError]]] = {
    "Error during planning": InvalidQuery,
    "SQL error": InvalidQuery,
    "Schema error": InvalidQuery,
    "Execution error": InvalidQuery,
    "Arrow error": InvalidQuery,
    "regex parse error": InvalidQuery,
    "C Data interface error": InvalidQuery,
    "Invalid or Unsupported Configuration": InvalidQuery,
    "This feature is not implemented": UnsupportedQuery,
    "Internal error": QueryFailed,
    "Resources exhausted": MemoryExhausted,
    "Parquet error": DataFileUnreadable,
    "Object Store error": DataFileUnreadable,
    "IO error": DataFileUnreadable,
}
_CONTEXTS: Final = ("DataFusion error: ", "External error: ", "External: ")
_BUG_NOTE: Final = re.compile(r"\.?\s*This issue was likely caused by a bug in DataFusion's code\..*\Z", re.DOTALL)
_MISSING_TABLE: Final = re.compile(r"table '(?:public\.)?(?:iox\.)?(?P<name>.+)' not found")
_MISSING_FIELD: Final = re.compile(
    r"No field named (?P<name>.+?)\.(?: Did you mean '(?P<nearest>.+?)'\?)?\s+Valid fields are (?P<fields>.*)\.\Z",
    re.DOTALL,
)


def translate(error: BaseException, tables: Iterable[str] = (), hidden: str = "") -> HeadraceError:
    """The error to raise in the place of one that the engine raised.

    ``tables`` are the names to suggest for a table that does not exist, ``hidden`` is a path that no
    message may hold.
    """
    if isinstance(error, HeadraceError):
        return error
    text = str(error).split("caused by\n")[-1].strip()
    for context in _CONTEXTS:
        text = text.removeprefix(context)
    kind = next((kind for prefix, kind in _KINDS.items() if text.startswith(prefix + ":")), None)
    if kind is None:
        log.error("the query engine failed", exc_info=error)
        return QueryFailed("the query engine failed on this statement; the server's log says more")
    if kind is DataFileUnreadable:
        log.error("a data file cannot be read: %s", error)
        return DataFileUnreadable("a data file of the table cannot be read; the server's log says more")
    message = _BUG_NOTE.sub("", text.replace("Internal error: Function", "Function"))
    if hidden:
        message = message.replace(hidden, "").replace(hidden.lstrip("/"), "")
    message = _with_suggestion(message, tables)
    if len(message) > _MAX_MESSAGE:
        message = message[:_MAX_MESSAGE] + "…"
    return kind(message)


def _with_suggestion(message: str, tables: Iterable[str]) -> str:
    if missing := _MISSING_TABLE.search(message):
        return message + did_you_mean(missing["name"], tables)
    if missing := _MISSING_FIELD.search(message):
        fields = missing["fields"].split(", ")
        # The engine's own suggestion is the nearest by edit distance at any distance.
        by_name = {field.rpartition(".")[2].strip('"'): field for field in fields}
        hint = did_you_mean(missing["name"].rpartition(".")[2].strip('"'), by_name)
        shown = ", ".join(fields[:_MAX_FIELDS]) + (", …" if len(fields) > _MAX_FIELDS else "")
        return f"{message[: missing.start()]}No field named {missing['name']}{hint}\nValid fields are {shown}."
    return message
