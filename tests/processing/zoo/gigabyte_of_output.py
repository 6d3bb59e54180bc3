"""Prints a gigabyte, past the interpreter."""

import os


def process_scheduled_call(influxdb3_local, call_time, args=None):
    chunk = (b"x" * 99 + b"\n") * 10_000
    for _ in range(1_000):
        written = 0
        while written < len(chunk):
            written += os.write(1, chunk[written:])
