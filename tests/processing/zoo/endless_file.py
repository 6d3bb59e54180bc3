"""Fills the disk."""

import tempfile


def process_scheduled_call(influxdb3_local, call_time, args=None):
    with tempfile.TemporaryFile() as file:
        while True:
            file.write(b"x" * (1 << 20))
