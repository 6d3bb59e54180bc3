"""``query``: SQL from an argument, a file or standard input; the answer streams to where it belongs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from headrace.api.cli.connection import add_database, connect
from headrace.api.cli.errors import CommandFailed
from headrace.api.cli.output import add_format, check_destination, write_answer
from headrace.api.cli.parser import Choice, CommandParser


def parameter(text: str) -> tuple[str, Any]:
    """``NAME=VALUE`` of ``--param``: VALUE is JSON where it parses as a JSON scalar, else a string."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"invalid value '{text}': must be formatted as \"name=value\"")
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = value
    return name.removeprefix("$"), value if isinstance(parsed, (dict, list)) else parsed


def parameters(text: str) -> dict[str, Any]:
    """The JSON object of ``--params``."""
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"invalid value '{text}': not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise argparse.ArgumentTypeError(f"invalid value '{text}': must be a JSON object")
    return {name.removeprefix("$"): value for name, value in parsed.items()}


def configure(parser: CommandParser) -> None:
    parser.option(
        "-l", "--language", type=Choice(("sql",)), default="sql", help="The language of the query; only SQL is spoken"
    )
    add_format(parser)
    parser.option("-f", "--file", metavar="FILE", type=Path, help="A file that holds the query")
    parser.option(
        "--param",
        metavar="NAME=VALUE",
        action="append",
        type=parameter,
        default=[],
        help="A value for $NAME in the query; a number, true, false or null is taken as such, anything else as text",
    )
    parser.option("--params", metavar="JSON", type=parameters, default={}, help="Values for $NAMEs as a JSON object")
    parser.argument("query", nargs="?", help="The query, in quotes; without it --file or standard input")
    add_database(parser)
    parser.option(
        "--query-host", metavar="HOST_URL", env="INFLUXDB3_QUERY_HOST_URL", help="A server for queries, before --host"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    check_destination(args.format, args.output)
    body: dict[str, Any] = {"db": args.database, "q": statement(args), "format": args.format}
    params = {**args.params, **dict(args.param)}
    if params:
        body["params"] = params
    with (
        connect(args, host=args.query_host) as client,
        client.stream("POST", "/api/v3/query_sql", body=body) as pieces,
    ):
        write_answer(pieces, args.output, text=args.format != "parquet")


def statement(args: argparse.Namespace) -> str:
    if args.query is not None:
        return str(args.query)
    if args.file is not None:
        try:
            return str(args.file.read_text())
        except OSError as error:
            raise CommandFailed(f"io error: {args.file}: {error.strerror}") from error
    if sys.stdin.isatty():
        raise CommandFailed("No input from stdin detected, no string was passed in, and no file path was given")
    return sys.stdin.read()
