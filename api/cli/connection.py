"""The options by which every client command finds and trusts its server."""

from __future__ import annotations

import argparse
from pathlib import Path

from headrace.api.cli.client import Client
from headrace.api.cli.parser import CommandParser

DEFAULT_URL = "http://127.0.0.1:8181"


def add_connection(parser: CommandParser) -> None:
    """Declare ``--host``, ``--token`` and the TLS options."""
    parser.section("Connection")
    parser.option(
        "-H",
        "--host",
        dest="host",
        metavar="HOST_URL",
        env="INFLUXDB3_HOST_URL",
        default=DEFAULT_URL,
        help="The URL of the running server",
    )
    parser.option("--token", metavar="AUTH_TOKEN", env="INFLUXDB3_AUTH_TOKEN", help="The token that proves who asks")
    parser.option(
        "--tls-ca",
        metavar="CA_CERT",
        env="INFLUXDB3_TLS_CA",
        type=Path,
        help="A certificate authority to trust, in PEM or DER, for self-signed certificates",
    )
    parser.option(
        "--tls-no-verify",
        action="store_true",
        env="INFLUXDB3_TLS_NO_VERIFY",
        help="Accept any certificate; for tests only",
    )


def add_database(parser: CommandParser, *, required: bool = True) -> None:
    """Declare ``--database``, then the connection options."""
    parser.option(
        "-d",
        "--database",
        metavar="DATABASE_NAME",
        env="INFLUXDB3_DATABASE_NAME",
        required=required,
        help="The name of the database to operate on",
    )
    add_connection(parser)


def connect(args: argparse.Namespace, *, host: str | None = None) -> Client:
    """A client for the server that ``args`` name; ``host`` overrides ``--host``."""
    return Client(host or args.host, token=args.token, ca_cert=args.tls_ca, verify=not args.tls_no_verify)
