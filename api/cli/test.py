"""``test``: run a plugin once on the server and see what it would have done; nothing is stored."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from headrace.api.cli.connection import add_database, connect
from headrace.api.cli.errors import CommandFailed
from headrace.api.cli.key_values import merged, pairs
from headrace.api.cli.parser import CommandParser
from headrace.api.cli.quantities import duration


def configure(parser: CommandParser) -> None:
    rows = parser.command("wal_plugin", "Test a plugin on written rows")
    rows.option("--lp", metavar="LINE_PROTOCOL", help="The rows, as line protocol")
    rows.option("--file", metavar="FILE", type=Path, help="A local file of line protocol with the rows")
    rows.option(
        "--last", metavar="DURATION", type=duration, help="Take the rows of the last DURATION from the database"
    )
    add_common(rows)
    rows.set_defaults(run=test_rows)

    schedule = parser.command("schedule_plugin", "Test a scheduled plugin")
    schedule.option(
        "--schedule", metavar="CRON", help="The cron expression that gives the call time; * * * * * without it"
    )
    add_common(schedule)
    schedule.set_defaults(run=test_schedule)

    request = parser.command("request_plugin", "Test a plugin on HTTP requests")
    request.option("--method", default="POST", help="The method of the request")
    request.option("--path", default="", help="The rest of the path behind the trigger's own")
    request.option(
        "--query-params", metavar="KEY=VALUE,…", action="append", type=pairs, help="The request's query parameters"
    )
    request.option("--headers", metavar="KEY=VALUE,…", action="append", type=pairs, help="The request's headers")
    request.option("--body", default="", help="The request's body")
    add_common(request)
    request.set_defaults(run=test_request)


def add_common(parser: CommandParser) -> None:
    parser.option(
        "--input-arguments",
        metavar="KEY=VALUE,…",
        action="append",
        type=pairs,
        help="Arguments for the plugin; a comma inside a value is written \\,",
    )
    parser.option("--cache-name", help="A cache that stays between tests; without it each test has an empty one")
    parser.argument("filename", help="The plugin's name in the server's plugin directory")
    add_database(parser)


def common(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "filename": args.filename,
        "database": args.database,
        "cache_name": args.cache_name,
        "input_arguments": merged(args.input_arguments),
    }


def test_rows(args: argparse.Namespace) -> None:
    body = common(args)
    if args.last is not None:
        body |= {"input_lp": "", "last": args.last}
    elif args.lp is not None:
        body["input_lp"] = args.lp
    elif args.file is not None:
        try:
            body["input_lp"] = args.file.read_text()
        except OSError as error:
            raise CommandFailed(f"unable to read input file {args.file}: {error.strerror}") from error
    else:
        raise CommandFailed("either --lp or --file must be provided, or --last for rows of the database")
    show(args, "wal", body)


def test_schedule(args: argparse.Namespace) -> None:
    show(args, "schedule", {**common(args), "schedule": args.schedule})


def test_request(args: argparse.Namespace) -> None:
    body = common(args)
    body |= {"method": args.method.upper(), "path": args.path, "body": args.body}
    body |= {"query_params": merged(args.query_params) or {}, "headers": merged(args.headers) or {}}
    show(args, "request", body)


def show(args: argparse.Namespace, kind: str, body: dict[str, Any]) -> None:
    with connect(args) as client:
        answer = client.send_for_json("POST", f"/api/v3/plugin_test/{kind}", body=body)
    print(json.dumps(answer, indent=2, ensure_ascii=False))
