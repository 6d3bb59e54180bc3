"""``enable``: start a trigger."""

from __future__ import annotations

import argparse

from headrace.api.cli.connection import add_database, connect
from headrace.api.cli.parser import Choice, CommandParser


def configure(parser: CommandParser) -> None:
    trigger = parser.command("trigger", "Enable a trigger, so that its plugin runs")
    trigger.option(
        "--from",
        dest="start",
        metavar="WHERE",
        type=Choice(("cursor", "now")),
        help="Where a trigger on written rows goes on: at the row it stopped at, which is what happens without "
        "this option, or with the next row that is written",
    )
    trigger.argument("trigger_name", help="The name of the trigger")
    add_database(trigger)
    trigger.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    query = {"db": args.database, "trigger_name": args.trigger_name}
    if args.start is not None:
        query["from"] = args.start
    with connect(args) as client:
        client.send("POST", "/api/v3/configure/processing_engine_trigger/enable", query=query)
    print(f"Trigger {args.trigger_name} enabled successfully")
