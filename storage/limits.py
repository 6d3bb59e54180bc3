"""How much the catalog takes: bounds on what a client can make it hold for ever.

Defaults are InfluxDB 3 Core's where they protect something, and higher where Core's are an edition's:
Core stops at 5 databases and 2,000 tables, here it is 1,000 and 20,000 (a catalog of that size takes tens
of megabytes). Core's 500 columns per table (time not counted) stay. Tags have no bound of their own
unless it is set lower than that of all columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from headrace.storage.errors import LimitExceeded


def _limit(default: int, option: str, help_text: str) -> int:
    value: int = field(default=default, metadata={"option": option, "help": help_text})
    return value


@dataclass(frozen=True, slots=True)
class CatalogLimits:
    """Upper bounds. Each field's metadata holds its command line ``option`` and its ``help``."""

    databases: int = _limit(1_000, "--num-database-limit", "Databases, not counting deleted ones")
    tables: int = _limit(20_000, "--num-table-limit", "Tables in all databases together, not counting deleted ones")
    columns_per_table: int = _limit(
        500, "--num-total-columns-per-table-limit", "Tag and field columns a table, not counting time"
    )
    tags_per_table: int = _limit(500, "--num-tag-columns-per-table-limit", "Tag columns a table")
    triggers: int = _limit(1_000, "--num-trigger-limit", "Triggers in all databases together")
    tokens: int = _limit(1_000, "--num-token-limit", "Tokens, expired ones included")

    def __post_init__(self) -> None:
        for each in fields(self):
            if getattr(self, each.name) < 1:
                raise ValueError(f"{each.metadata['option']} must be at least 1")


def option(limit: str) -> str:
    """The command line option that sets the limit with this field name."""
    return next(str(each.metadata["option"]) for each in fields(CatalogLimits) if each.name == limit)


def _raise_it(limit: str) -> str:
    return f"raise it with {option(limit)}"


# The beginnings of these messages are InfluxDB 3's, which its HTTP layer, too, tells limits by.


def too_many_databases(name: str, limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"Adding a new database would exceed limit of {limit} databases: {name!r}; {_raise_it('databases')}"
    )


def too_many_tables(name: str, current: int, limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"Update to schema would exceed number of tables limit: attempted to create table {name!r} but already have "
        f"{current} table(s) (limit: {limit}); {_raise_it('tables')}"
    )


def too_many_columns(table: str, column: str, limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"Update to schema would exceed number of columns per table limit of {limit} columns: column {column!r} of "
        f"table {table!r}; {_raise_it('columns_per_table')}"
    )


def too_many_tags(table: str, column: str, limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"Update to schema would exceed number of tag columns per table limit of {limit} columns: tag {column!r} of "
        f"table {table!r}; {_raise_it('tags_per_table')}"
    )


def too_many_triggers(name: str, limit: int) -> LimitExceeded:
    return LimitExceeded(f"trigger {name!r} would exceed the limit of {limit} triggers; {_raise_it('triggers')}")


def too_many_tokens(name: str, limit: int) -> LimitExceeded:
    return LimitExceeded(f"token {name!r} would exceed the limit of {limit} tokens; {_raise_it('tokens')}")
