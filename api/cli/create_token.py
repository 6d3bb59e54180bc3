"""``create token --admin``: the operator token, named admin tokens, and token files for a first start."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from headrace.api.cli.connection import add_connection, connect
from headrace.api.cli.errors import CommandFailed
from headrace.api.cli.output import styled
from headrace.api.cli.parser import Choice, CommandParser
from headrace.api.cli.quantities import seconds

ADMIN_NAME = "_admin"


def configure(parser: CommandParser) -> None:
    parser.option("--admin", action="store_true", help="Create an admin token, the only kind there is")
    parser.option("--name", help="The name of the token; without one the operator token is created")
    parser.option("--expiry", metavar="DURATION", type=seconds, help="How long the token is valid, such as 10d or 1y")
    parser.option(
        "--regenerate", action="store_true", help="Replace the operator token, which the request must still carry"
    )
    parser.option("--format", type=Choice(("json", "text")), default="text", help="The format of the output")
    parser.option(
        "--offline",
        action="store_true",
        help="Make a token without a server and save it to --output-file, for `serve --admin-token-file`",
    )
    parser.option("--output-file", metavar="FILE", type=Path, help="Where to save the token; for --offline")
    add_connection(parser)
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> None:
    if not args.admin:
        args.usage_error("Missing required subcommand. Use: headrace create token --admin [OPTIONS]")
    if args.regenerate and args.name:
        args.usage_error("--regenerate cannot be used with --name, --regenerate only applies for operator token")
    if args.offline and args.output_file is None:
        args.usage_error("the following required arguments were not provided:\n  --output-file <FILE>")
    try:
        token = offline_token(args) if args.offline else requested_token(args)
    except CommandFailed as error:
        raise CommandFailed(f"Failed to create token, error: {error}") from error
    if args.format == "json":
        help_message = (
            "Store this token securely, as it will not be shown again. "
            f'HTTP requests require the following header: "Authorization: Bearer {token}"'
        )
        print(json.dumps({"help_msg": help_message, "token": token}, indent=2))
        return
    print(
        f"\n{styled('New token created successfully!', '4')}\n\n"
        f"{styled('Token:', '1')} {token}\n"
        f"{styled('HTTP Requests Header:', '1')} Authorization: Bearer {token}\n\n"
        f"{styled('IMPORTANT:', '1;31')} Store this token securely, as it will not be shown again.\n"
    )


def requested_token(args: argparse.Namespace) -> str:
    path = "/api/v3/configure/token/admin"
    body: dict[str, Any] | None = None
    if args.regenerate:
        # On standard error, unlike InfluxDB 3, so that --format json leaves nothing but JSON on standard output.
        print("Are you sure you want to regenerate admin token? Enter 'yes' to confirm", file=sys.stderr)
        if sys.stdin.readline().strip() != "yes":
            raise CommandFailed("Cannot regenerate token without confirmation")
        path += "/regenerate"
    elif args.name is not None:
        path = "/api/v3/configure/token/named_admin"
        body = {"token_name": args.name, "expiry_secs": None if args.expiry is None else int(args.expiry)}
    with connect(args) as client:
        answer = client.send_for_json("POST", path, body=body)
    if not isinstance(answer, dict) or not isinstance(answer.get("token"), str):
        raise CommandFailed("the server's answer holds no token")
    return str(answer["token"])


def offline_token(args: argparse.Namespace) -> str:
    """A token and its file, readable by the owner alone, as ``serve --admin-token-file`` reads it."""
    import base64
    import secrets
    import time

    token = f"apiv3_{base64.urlsafe_b64encode(secrets.token_bytes(64)).decode().rstrip('=')}"
    entry: dict[str, Any] = {"token": token, "name": args.name or ADMIN_NAME}
    if args.name is not None and args.expiry is not None:
        entry["expiry_millis"] = int((time.time() + args.expiry) * 1000)
    path: Path = args.output_file
    try:
        save_privately(path, json.dumps(entry, indent=2) + "\n")
    except OSError as error:
        raise CommandFailed(f"cannot save the token to {path}: {error.strerror}") from error
    print(f"Token saved to: {path}", file=sys.stderr if args.format == "json" else sys.stdout)
    return token


def save_privately(path: Path, text: str) -> None:
    """Write ``path`` with mode 0600, whole or not at all."""
    temporary = path.parent / f".{path.name}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
