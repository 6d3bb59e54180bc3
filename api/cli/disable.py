"""``disable``: stop a trigger; it stays defined."""

from __future__ import annotations

import argparse

from headrace.api.cli.connection import add_database, connect
from headrace.api.cli.parser import CommandParser


def configure(parser: CommandParser) -> None:
    trigger = parser.command("trigger", "Disable a trigger, so that its plugin stops running")
    trigger.argument("trigger_name", help="The name of the trigger")
    add_database(trigger)
    trigger.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    query = {"db": args.database, "trigger_name": args.trigger_name}
    with connect(args) as client:
        client.send("POST", "/api/v3/configure/processing_engine_trigger/disable", query=query)
    print(f"Trigger {args.trigger_name} disabled successfully")
