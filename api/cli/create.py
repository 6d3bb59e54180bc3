"""``create``: databases, tables, tokens and triggers."""

from __future__ import annotations

import argparse

from headrace.api.cli import create_token, create_trigger
from headrace.api.cli.connection import add_connection, add_database, connect
from headrace.api.cli.parser import CommandParser, nearest
from headrace.api.cli.quantities import duration

FIELD_TYPES = ("int64", "uint64", "float64", "utf8", "bool")


def configure(parser: CommandParser) -> None:
    configure_database(parser.command("database", "Create a new database"))
    configure_table(parser.command("table", "Create a new table in a database"))
    create_token.configure(
        parser.command("token", "Create a new auth token", epilog="Example:\n  headrace create token --admin")
    )
    create_trigger.configure(
        parser.command("trigger", "Create a trigger that runs a plugin on written rows, on a schedule or on requests")
    )


def configure_database(parser: CommandParser) -> None:
    parser.option(
        "--retention-period", metavar="DURATION", type=duration, help="How long rows are kept, such as 30d or 24h"
    )
    parser.argument(
        "database_name",
        env="INFLUXDB3_DATABASE_NAME",
        help="The name of the database: letters, digits, - and _, starting with a letter or a digit",
    )
    add_connection(parser)
    parser.set_defaults(run=create_database)


def create_database(args: argparse.Namespace) -> None:
    body = {"db": args.database_name, "retention_period": args.retention_period}
    with connect(args) as client:
        client.send("POST", "/api/v3/configure/database", body=body)
    print(f'Database "{args.database_name}" created successfully')


def names(text: str) -> list[str]:
    """A list of names separated by commas."""
    return [name for name in text.split(",") if name]


def fields(text: str) -> list[dict[str, str]]:
    """``name:type,…`` as the entries of a table's definition."""
    found = []
    for item in names(text):
        name, colon, kind = item.rpartition(":")
        if not colon or not name:
            raise argparse.ArgumentTypeError(f"invalid value '{item}': must be formatted as \"name:type\"")
        if kind not in FIELD_TYPES:
            guess = nearest(kind, FIELD_TYPES)
            hint = f"\n\n  tip: a similar value exists: '{guess}'" if guess else ""
            raise argparse.ArgumentTypeError(
                f"invalid value '{item}': {kind} is not a valid data type, "
                f"values are int64, uint64, float64, utf8, and bool{hint}"
            )
        found.append({"name": name, "type": kind})
    return found


def configure_table(parser: CommandParser) -> None:
    parser.option("--tags", metavar="TAG,…", action="extend", type=names, default=[], help="The table's tags, in order")
    parser.option(
        "-f",
        "--fields",
        metavar="NAME:TYPE,…",
        action="extend",
        type=fields,
        default=[],
        help=f"The table's fields and their types: {', '.join(FIELD_TYPES)}",
    )
    parser.argument("table_name", help="The name of the table")
    add_database(parser)
    parser.set_defaults(run=create_table)


def create_table(args: argparse.Namespace) -> None:
    body = {"db": args.database, "table": args.table_name, "tags": args.tags, "fields": args.fields}
    with connect(args) as client:
        client.send("POST", "/api/v3/configure/table", body=body)
    print(f'Table "{args.database}"."{args.table_name}" created successfully')
