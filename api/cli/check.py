"""``check DIR``: are the files of a data directory whole, and do they agree with one another?"""

from __future__ import annotations

import argparse
from pathlib import Path

from headrace.api.cli.errors import CommandFailed
from headrace.api.cli.parser import CommandParser
from headrace.api.cli.quantities import format_size


def configure(parser: CommandParser) -> None:
    parser.option(
        "--deep", action="store_true", help="Read the rows of every Parquet file too: their number, order and times"
    )
    parser.argument("directory", type=Path, help="The data directory of a server that is not running")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what there is and every finding; exit with 1 if there is any."""
    from headrace.storage.check import check_store
    from headrace.wal.check import check_log

    directory: Path = args.directory
    if not directory.is_dir():
        raise CommandFailed(f"{directory} is not a directory")
    logs = sorted({path.parent for path in directory.rglob("*.wal")})
    nodes = sorted(path.parent.name for path in directory.glob("*/manifest") if path.is_dir())
    if not logs and not nodes:
        raise CommandFailed(f"{directory} holds neither a log nor a manifest: it is no data directory")
    findings: list[str] = []
    for node in nodes:
        store = check_store(directory, node, deep=args.deep)
        size = format_size(store.bytes)
        print(f"{directory / node}: {store.tables} tables, {store.files} files, {store.rows} rows, {size}")
        findings += map(str, store.findings)
    for path in logs:
        log = check_log(path)
        size = format_size(log.bytes)
        print(f"{path}: {log.segments} segments, {log.frames} frames, {log.rows} rows, {size}")
        if log.torn_bytes:
            print(f"{path}: {log.torn_bytes} bytes of an unfinished write at the end, which the next start cuts off")
        findings += map(str, log.findings)
    for finding in findings:
        print(finding)
    print("1 finding" if len(findings) == 1 else f"{len(findings) or 'no'} findings")
    return 1 if findings else 0
