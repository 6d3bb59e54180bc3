"""``show``: databases, tokens, plugins, triggers, retention and the system tables."""

from __future__ import annotations

import argparse

from headrace.api.cli import show_system
from headrace.api.cli.connection import add_connection, add_database, connect
from headrace.api.cli.output import add_format, check_destination, write_answer
from headrace.api.cli.parser import CommandParser

INTERNAL_DATABASE = "_internal"

_RETENTION = """
SELECT database_name,
       CASE WHEN ns IS NULL THEN 'infinite'
            WHEN ns % 86400000000000 = 0 THEN CAST(ns / 86400000000000 AS VARCHAR) || 'd'
            WHEN ns % 3600000000000 = 0 THEN CAST(ns / 3600000000000 AS VARCHAR) || 'h'
            WHEN ns % 60000000000 = 0 THEN CAST(ns / 60000000000 AS VARCHAR) || 'm'
            ELSE CAST(ns / 1000000000 AS VARCHAR) || 's'
       END AS retention_period
FROM (SELECT database_name, CAST(retention_period_ns AS BIGINT) AS ns FROM system.databases){where}
ORDER BY database_name
"""


def configure(parser: CommandParser) -> None:
    databases = parser.command("databases", "List databases")
    databases.option("--show-deleted", action="store_true", help="List deleted databases too")
    add_format(databases)
    add_connection(databases)
    databases.set_defaults(run=show_databases)

    tokens = parser.command("tokens", "List tokens, by name; their text is not kept")
    add_format(tokens)
    add_connection(tokens)
    tokens.set_defaults(run=show_tokens)

    plugins = parser.command("plugins", "List the files of the plugins in use")
    add_format(plugins)
    add_connection(plugins)
    plugins.set_defaults(run=show_plugins)

    triggers = parser.command("triggers", "List the triggers of a database, their state and last run")
    add_format(triggers)
    add_database(triggers)
    triggers.set_defaults(run=show_triggers)

    retention = parser.command("retention", "Show how long databases keep their rows")
    retention.option("--database", metavar="DATABASE_NAME", help="Show this database only")
    add_format(retention)
    add_connection(retention)
    retention.set_defaults(run=show_retention)

    show_system.configure(parser.command("system", "Show the system tables of a database", aliases=("s",)))


def show_databases(args: argparse.Namespace) -> None:
    check_destination(args.format, args.output)
    query = {"format": args.format, "show_deleted": "true" if args.show_deleted else "false"}
    with connect(args) as client, client.stream("GET", "/api/v3/configure/database", query=query) as pieces:
        write_answer(pieces, args.output, text=args.format != "parquet")


def show_tokens(args: argparse.Namespace) -> None:
    show_query(args, INTERNAL_DATABASE, "SELECT * FROM system.tokens")


def show_plugins(args: argparse.Namespace) -> None:
    show_query(args, INTERNAL_DATABASE, "SELECT * FROM system.plugin_files")


def show_triggers(args: argparse.Namespace) -> None:
    show_query(args, args.database, "SELECT * FROM system.processing_engine_triggers ORDER BY trigger_name")


def show_retention(args: argparse.Namespace) -> None:
    where = ""
    if args.database is not None:
        where = f"\nWHERE database_name = '{args.database.replace(chr(39), chr(39) * 2)}'"
    show_query(args, INTERNAL_DATABASE, _RETENTION.format(where=where))


def show_query(args: argparse.Namespace, database: str, statement: str) -> None:
    """Print the answer to ``statement`` in the format asked for."""
    check_destination(args.format, args.output)
    body = {"db": database, "q": statement, "format": args.format}
    with connect(args) as client, client.stream("POST", "/api/v3/query_sql", body=body) as pieces:
        write_answer(pieces, args.output, text=args.format != "parquet")
