"""``write``: line protocol from an argument, a file or standard input, in requests of bounded size."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from headrace.api.cli.client import Client
from headrace.api.cli.connection import add_database, connect
from headrace.api.cli.errors import CommandFailed
from headrace.api.cli.lines import chunks
from headrace.api.cli.parser import Choice, CommandParser
from headrace.api.cli.progress import Progress
from headrace.api.cli.quantities import positive

# The server takes bodies of 10 MiB unless told otherwise.
DEFAULT_REQUEST_BYTES = 10 << 20
MOST_REQUESTS_IN_FLIGHT = 64

PRECISIONS = {
    **dict.fromkeys(("auto",), "auto"),
    **dict.fromkeys(("ns", "n", "nanosecond"), "nanosecond"),
    **dict.fromkeys(("us", "u", "microsecond"), "microsecond"),
    **dict.fromkeys(("ms", "millisecond"), "millisecond"),
    **dict.fromkeys(("s", "second"), "second"),
}


def configure(parser: CommandParser) -> None:
    parser.option("-f", "--file", metavar="FILE", type=Path, help="A file of line protocol to write")
    parser.option(
        "-p",
        "--precision",
        type=Choice(tuple(PRECISIONS)),
        help="The unit of the timestamps; without it the server tells by their magnitude",
    )
    parser.option(
        "--accept-partial",
        action="store_true",
        default=None,
        help="Store the good lines of a request and report the others; the server does so unless told not to",
    )
    parser.option(
        "--no-accept-partial",
        action="store_false",
        dest="accept_partial",
        default=None,
        help="Store a request whole or not at all",
    )
    parser.option(
        "--no-sync",
        action="store_true",
        help="Return before the rows are on disk: quicker, and they are lost if the server is killed at that moment",
    )
    parser.option("--gzip", action="store_true", help="Compress the bodies")
    parser.option(
        "--max-request-size",
        metavar="BYTES",
        type=positive,
        default=DEFAULT_REQUEST_BYTES,
        help="Larger input is sent in several requests, cut where lines end",
    )
    parser.option(
        "--max-concurrent-requests",
        metavar="N",
        type=positive,
        default=1,
        help="How many requests may be under way at once. With one, rows arrive in the order of the file, "
        "so that of two rows with the same tags and time the later one stays",
    )
    parser.option("-q", "--quiet", action="store_true", help="Print no progress on standard error")
    parser.argument("line_protocol", nargs="?", help="Line protocol, in quotes; without it --file or standard input")
    add_database(parser)
    parser.option(
        "--write-host", metavar="HOST_URL", env="INFLUXDB3_WRITE_HOST_URL", help="A server for writes, before --host"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    query = {"db": args.database}
    if args.precision is not None:
        query["precision"] = PRECISIONS[args.precision]
    if args.accept_partial is not None:
        query["accept_partial"] = "true" if args.accept_partial else "false"
    if args.no_sync:
        query["no_sync"] = "true"
    source, total = open_source(args)
    progress = Progress(total, quiet=args.quiet)
    with source:
        bodies = chunks(source, args.max_request_size)
        if args.max_concurrent_requests == 1:
            acknowledged = send_in_order(bodies, args, query)
        else:
            acknowledged = send_at_once(bodies, args, query)
        for body in acknowledged:
            progress.add(body)
    progress.finish()


def open_source(args: argparse.Namespace) -> tuple[BinaryIO, int | None]:
    """The input and its size in bytes, None where it is not known."""
    if args.line_protocol is not None:
        data = args.line_protocol.encode("utf-8", "surrogateescape")
        return io.BytesIO(data), len(data)
    if args.file is not None:
        try:
            return args.file.open("rb"), args.file.stat().st_size
        except OSError as error:
            raise CommandFailed(f"error reading file: {args.file}: {error.strerror}") from error
    if sys.stdin.isatty():
        raise CommandFailed("No input from stdin detected, no string was passed in, and no file path was given")
    return sys.stdin.buffer, None


def send(client: Client, body: bytes, args: argparse.Namespace, query: dict[str, str]) -> bytes:
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    data = body
    if args.gzip:
        import gzip

        data = gzip.compress(body, compresslevel=6)
        headers["Content-Encoding"] = "gzip"
    client.send("POST", "/api/v3/write_lp", query=query, data=data, headers=headers)
    return body


def send_in_order(bodies: Iterator[bytes], args: argparse.Namespace, query: dict[str, str]) -> Iterator[bytes]:
    with connect(args, host=args.write_host) as client:
        for body in bodies:
            yield send(client, body, args, query)


def send_at_once(bodies: Iterator[bytes], args: argparse.Namespace, query: dict[str, str]) -> Iterator[bytes]:
    """Keep the given number of requests under way, each thread with a connection of its own."""
    import threading
    from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

    width = min(args.max_concurrent_requests, MOST_REQUESTS_IN_FLIGHT)
    local = threading.local()

    def task(body: bytes) -> bytes:
        if not hasattr(local, "client"):
            local.client = connect(args, host=args.write_host)
        return send(local.client, body, args, query)

    under_way: set[Future[bytes]] = set()
    with ThreadPoolExecutor(width) as pool:
        try:
            for body in bodies:
                under_way.add(pool.submit(task, body))
                if len(under_way) >= width:
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            yield from (future.result() for future in under_way)
        finally:
            pool.shutdown(cancel_futures=True)
