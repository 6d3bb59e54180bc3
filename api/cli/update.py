"""``update``: a database's retention period, a trigger's plugin code."""

from __future__ import annotations

import argparse
from pathlib import Path

from headrace.api.cli.connection import add_database, connect
from headrace.api.cli.errors import CommandFailed
from headrace.api.cli.parser import CommandParser
from headrace.api.cli.plugin_upload import python_files, read_source
from headrace.api.cli.quantities import duration


def configure(parser: CommandParser) -> None:
    database = parser.command("database", "Update a database")
    database.option(
        "-r",
        "--retention-period",
        metavar="DURATION",
        type=retention,
        help="How long rows are kept, such as 30d or 24h, or none to keep them for good",
    )
    add_database(database)
    database.set_defaults(run=update_database)

    trigger = parser.command("trigger", "Update the plugin code of a trigger")
    trigger.option("-t", "--trigger-name", required=True, help="The name of the trigger")
    trigger.option(
        "-p", "--path", type=Path, required=True, help="The local file, or directory, that replaces the plugin"
    )
    add_database(trigger)
    trigger.set_defaults(run=update_trigger)


def retention(text: str) -> str:
    return "none" if text.lower() == "none" else duration(text)


def update_database(args: argparse.Namespace) -> None:
    if args.retention_period is None:
        raise CommandFailed("--retention-period is required for update database")
    period = None if args.retention_period == "none" else args.retention_period
    with connect(args) as client:
        client.send("PUT", "/api/v3/configure/database", body={"db": args.database, "retention_period": period})
    print(f'Database "{args.database}" updated successfully')


def update_trigger(args: argparse.Namespace) -> None:
    path: Path = args.path
    query = {"db": args.database}
    with connect(args) as client:
        if path.is_file():
            body: dict[str, object] = {"plugin_name": args.trigger_name, "content": read_source(path)}
            client.send("PUT", "/api/v3/plugins/files", query=query, body=body)
            print(f"Trigger '{args.trigger_name}' updated successfully")
        elif path.is_dir():
            files = [{"relative_path": name, "content": text} for name, text in python_files(path)]
            body = {"plugin_name": args.trigger_name, "files": files}
            client.send("PUT", "/api/v3/plugins/directory", query=query, body=body)
            print(f"Trigger '{args.trigger_name}' updated successfully (atomic directory replacement)")
        else:
            raise CommandFailed(f"Path does not exist: {path}")
