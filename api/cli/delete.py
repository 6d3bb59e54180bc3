"""``delete``: databases, tables, tokens and triggers."""

from __future__ import annotations

import argparse

from headrace.api.cli.connection import add_connection, add_database, connect
from headrace.api.cli.create_token import ADMIN_NAME
from headrace.api.cli.output import confirm
from headrace.api.cli.parser import CommandParser


def configure(parser: CommandParser) -> None:
    configure_database(parser.command("database", "Delete a database"))
    configure_table(parser.command("table", "Delete a table in a database"))
    configure_token(parser.command("token", "Delete a token"))
    configure_trigger(parser.command("trigger", "Delete a trigger"))


def add_hard_delete(parser: CommandParser) -> None:
    parser.option(
        "--hard-delete",
        metavar="WHEN",
        help="When the data goes for good: never, now, default, or a time such as 2030-06-18T10:30:00Z",
    )


def add_yes(parser: CommandParser) -> None:
    parser.option("-y", "--yes", action="store_true", help="Do not ask for confirmation")


def hard_delete_query(when: str | None) -> dict[str, str]:
    if when is None:
        return {}
    return {"hard_delete_at": when.lower() if when.lower() in ("never", "now", "default") else when}


def ask(args: argparse.Namespace, subject: str) -> None:
    if not args.yes:
        confirm(f"Are you sure you want to delete {subject}? Enter 'yes' or 'y' to confirm")


def configure_database(parser: CommandParser) -> None:
    add_hard_delete(parser)
    add_yes(parser)
    parser.argument("database_name", env="INFLUXDB3_DATABASE_NAME", help="The name of the database to delete")
    add_connection(parser)
    parser.set_defaults(run=delete_database)


def delete_database(args: argparse.Namespace) -> None:
    ask(args, f'"{args.database_name}"')
    query = {"db": args.database_name, **hard_delete_query(args.hard_delete)}
    with connect(args) as client:
        client.send("DELETE", "/api/v3/configure/database", query=query)
    print(f'Database "{args.database_name}" deleted successfully')


def configure_table(parser: CommandParser) -> None:
    add_hard_delete(parser)
    add_yes(parser)
    parser.argument("table_name", help="The name of the table to delete")
    add_database(parser)
    parser.set_defaults(run=delete_table)


def delete_table(args: argparse.Namespace) -> None:
    subject = f'"{args.database}"."{args.table_name}"'
    ask(args, subject)
    query = {"db": args.database, "table": args.table_name, **hard_delete_query(args.hard_delete)}
    with connect(args) as client:
        client.send("DELETE", "/api/v3/configure/table", query=query)
    print(f"Table {subject} deleted successfully")


def configure_token(parser: CommandParser) -> None:
    parser.option("--token-name", required=True, help="The name of the token to delete")
    add_yes(parser)
    add_connection(parser)
    parser.set_defaults(run=delete_token)


def delete_token(args: argparse.Namespace) -> None:
    if args.token_name == ADMIN_NAME:
        print(
            f'The operator token "{ADMIN_NAME}" is required and cannot be deleted. To regenerate an operator token, '
            "use: headrace create token --admin --regenerate --token [TOKEN]"
        )
        return
    ask(args, f'"{args.token_name}"')
    with connect(args) as client:
        client.send("DELETE", "/api/v3/configure/token", query={"token_name": args.token_name})
    print(f'Token "{args.token_name}" deleted successfully')


def configure_trigger(parser: CommandParser) -> None:
    parser.option("--force", action="store_true", help="Delete the trigger even while it is enabled")
    parser.argument("trigger_name", help="The name of the trigger to delete")
    add_database(parser)
    parser.set_defaults(run=delete_trigger)


def delete_trigger(args: argparse.Namespace) -> None:
    body = {"db": args.database, "trigger_name": args.trigger_name, "force": args.force}
    with connect(args) as client:
        client.send("DELETE", "/api/v3/configure/processing_engine_trigger", body=body)
    print(f"Trigger {args.trigger_name} deleted successfully")
