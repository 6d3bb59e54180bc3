"""``create trigger``: a plugin, what sets it off, its arguments and its limits."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from headrace.api.cli.client import Client
from headrace.api.cli.connection import add_database, connect
from headrace.api.cli.errors import CommandFailed
from headrace.api.cli.key_values import merged, pairs
from headrace.api.cli.parser import Choice, CommandParser
from headrace.api.cli.plugin_upload import python_files, read_source
from headrace.api.cli.quantities import seconds, size


def configure(parser: CommandParser) -> None:
    parser.option(
        "-p",
        "--path",
        help="The plugin: a .py file or a directory with __init__.py in the server's plugin directory, "
        "gh:PATH in its plugin repository, or with --upload a local path",
    )
    parser.option("--plugin-filename", help="The older name of --path")
    parser.option("--upload", action="store_true", help="Send the local file or directory --path to the server first")
    parser.option(
        "--trigger-spec",
        metavar="SPEC",
        required=True,
        help="What sets the plugin off: table:NAME or all_tables, every:DURATION or cron:EXPRESSION, "
        "or request:PATH for requests to /api/v3/engine/PATH",
    )
    parser.option(
        "--trigger-arguments",
        metavar="KEY=VALUE,…",
        action="append",
        type=pairs,
        help="Arguments for the plugin; a comma inside a value is written \\,",
    )
    parser.option("--disabled", action="store_true", help="Create the trigger without starting it")
    parser.option("--run-asynchronous", action="store_true", help="Let runs overlap instead of one after the other")
    parser.option(
        "--error-behavior",
        type=Choice(("log", "retry", "disable")),
        default="log",
        help="What a failed run leads to: a log entry, another try, or a disabled trigger",
    )
    parser.option("--memory-limit", metavar="SIZE", type=size, help="Memory a run may take, such as 512MB")
    parser.option("--time-limit", metavar="DURATION", type=seconds, help="Time a run may take, such as 30s")
    parser.argument("trigger_name", help="The name of the trigger")
    add_database(parser)
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> None:
    if args.path is not None and args.plugin_filename is not None:
        args.usage_error("the argument '--path <PATH>' cannot be used with '--plugin-filename <PLUGIN_FILENAME>'")
    path = args.path or args.plugin_filename
    if path is None:
        raise CommandFailed("Either --path or --plugin-filename must be provided")
    settings: dict[str, Any] = {"run_async": args.run_asynchronous, "error_behavior": args.error_behavior}
    if args.memory_limit is not None:
        settings["memory_limit"] = args.memory_limit
    if args.time_limit is not None:
        settings["time_limit"] = args.time_limit
    with connect(args) as client:
        if args.upload:
            path = upload(client, args.database, Path(path))
        body = {
            "db": args.database,
            "plugin_filename": path,
            "trigger_name": args.trigger_name,
            "trigger_settings": settings,
            "trigger_specification": args.trigger_spec,
            "trigger_arguments": merged(args.trigger_arguments),
            "disabled": args.disabled,
        }
        try:
            client.send("POST", "/api/v3/configure/processing_engine_trigger", body=body)
        except CommandFailed as error:
            raise CommandFailed(f"Failed to create trigger: {error}") from error
    print(f"Trigger {args.trigger_name} created successfully")


def upload(client: Client, database: str, path: Path) -> str:
    """Send the plugin at ``path``; returns its name on the server."""
    name = path.resolve().name
    if path.is_file():
        files = [(name, read_source(path))]
    elif path.is_dir():
        files = [(f"{name}/{relative}", text) for relative, text in python_files(path)]
    elif path.exists():
        raise CommandFailed(f"Invalid path: {path}")
    else:
        raise CommandFailed(f"File not found: {path}")
    for file_name, text in files:
        client.send(
            "POST", "/api/v3/plugins/files", query={"db": database}, body={"plugin_name": file_name, "content": text}
        )
    return name
