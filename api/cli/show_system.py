"""``show system``: the list of system tables, one of them, or a look at each."""

from __future__ import annotations

import argparse

from headrace.api.cli.client import Client
from headrace.api.cli.connection import add_database, connect
from headrace.api.cli.errors import CommandFailed, ServerRefused
from headrace.api.cli.output import FORMATS, check_destination, write_answer
from headrace.api.cli.parser import CommandParser, nearest
from headrace.api.cli.quantities import count

_TABLES = """
SELECT table_name, array_agg(column_name) AS column_names
FROM (SELECT table_name, column_name FROM information_schema.columns
      WHERE table_schema = 'system' ORDER BY table_name, column_name)
GROUP BY table_name ORDER BY table_name
"""


def configure(parser: CommandParser) -> None:
    # Not required of this parser: the option may stand behind the subcommand as well as before it.
    add_database(parser, required=False)
    parser.set_defaults(usage_error=parser.error)

    listing = parser.command("table-list", "List the system tables and their columns")
    listing.set_defaults(run=show_list)
    add_format(listing, parser)

    table = parser.command("table", "Show the rows of one system table")
    table.option("-l", "--limit", metavar="N", type=count, default=100, help="How many rows to show, 0 for all")
    table.option("-o", "--order-by", metavar="COLUMN,…", help="Order by these columns")
    table.option("-s", "--select", metavar="COLUMN,…", default="*", help="Show these columns")
    table.argument("system_table", help="The name of the table, without system.")
    table.set_defaults(run=show_table)
    add_format(table, parser)

    summary = parser.command("summary", "Show the first rows of every system table")
    summary.option("-l", "--limit", metavar="N", type=count, default=10, help="How many rows a table, 0 for all")
    summary.set_defaults(run=show_summary)
    add_format(summary, parser)


def add_format(parser: CommandParser, parent: CommandParser) -> None:
    parser.option("--format", type=FORMATS, default="pretty", help="The format of the output")
    parser.inherit(parent)


def connected(args: argparse.Namespace) -> Client:
    if args.database is None:
        args.usage_error("the following required arguments were not provided:\n  --database <DATABASE_NAME>")
    return connect(args)


def run_query(client: Client, args: argparse.Namespace, statement: str) -> None:
    check_destination(args.format, None)
    body = {"db": args.database, "q": statement, "format": args.format}
    with client.stream("POST", "/api/v3/query_sql", body=body) as pieces:
        write_answer(pieces, None, text=args.format != "parquet")


def table_names(client: Client, args: argparse.Namespace) -> list[str]:
    rows = client.send_for_json("POST", "/api/v3/query_sql", body={"db": args.database, "q": _TABLES, "format": "json"})
    return [row["table_name"] for row in rows]


def show_list(args: argparse.Namespace) -> None:
    with connected(args) as client:
        run_query(client, args, _TABLES)


def show_table(args: argparse.Namespace) -> None:
    statement = f'SELECT {args.select} FROM system."{args.system_table}"'
    if args.order_by:
        statement += f" ORDER BY {args.order_by}"
    if args.limit:
        statement += f" LIMIT {args.limit}"
    with connected(args) as client:
        try:
            run_query(client, args, statement)
        except ServerRefused as error:
            known = table_names(client, args) if "not found" in error.message else [args.system_table]
            if args.system_table in known:
                raise
            guess = nearest(args.system_table, known)
            hint = f"did you mean '{guess}'? " if guess else ""
            listed = ", ".join(f'"{name}"' for name in known)
            raise CommandFailed(
                f"system table '{args.system_table}' not found: {hint}please use a valid system table name: [{listed}]"
            ) from error


def show_summary(args: argparse.Namespace) -> None:
    limit = f" LIMIT {args.limit}" if args.limit else ""
    with connected(args) as client:
        for name in table_names(client, args):
            print(f"{name} summary:", flush=True)
            run_query(client, args, f'SELECT * FROM system."{name}"{limit}')
