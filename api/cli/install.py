"""``install package``: Python packages for plugins, in the server's plugin environment."""

from __future__ import annotations

import argparse

from headrace.api.cli.connection import add_connection, connect
from headrace.api.cli.parser import CommandParser

API = "/api/v3/configure/plugin_environment"
IGNORED = ("--plugin-dir", "--virtual-env-location", "--package-manager", "--plugin-repo")


def configure(parser: CommandParser) -> None:
    package = parser.command("package", "Install packages into the plugin environment")
    package.option(
        "-r", "--requirements", metavar="FILE", help="A requirements file on the server, below its plugin directory"
    )
    for flag in IGNORED:
        package.option(flag, shown="all", help="Accepted and ignored: the server has its own setting of this name")
    package.argument("packages", nargs="*", help="The packages to install")
    add_connection(package)
    package.set_defaults(run=run, usage_error=package.error)


def run(args: argparse.Namespace) -> None:
    if args.requirements is None and not args.packages:
        args.usage_error("the following required arguments were not provided:\n  <PACKAGES>...")
    with connect(args) as client:
        if args.requirements is not None:
            client.send("POST", f"{API}/install_requirements", body={"requirements_location": args.requirements})
        else:
            client.send("POST", f"{API}/install_packages", body={"packages": args.packages})
