"""``check DIR``: are the files of a data directory whole, and do they agree with one another?"""

from __future__ import annotations

import argparse
from pathlib import Path

from headrace.api.cli.errors import CommandFailed
from headrace.api.cli.parser import CommandParser


def configure(parser: CommandParser) -> None:
    parser.argument("directory", type=Path, help="The data directory of a server that is not running")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from headrace.storage.check import check as check_storage
    from headrace.wal.check import check as check_wal

    directory: Path = args.directory
    if not directory.is_dir():
        raise CommandFailed(f"{directory} is not a directory")
    findings = [*check_wal(directory), *check_storage(directory)]
    for finding in findings:
        print(finding)
    print(f"{directory}: {len(findings)} findings" if findings else f"{directory}: no findings")
    return 1 if findings else 0
