"""Forks, and lets the child return into the worker's own loop."""

import os


def process_scheduled_call(influxdb3_local, call_time, args=None):
    os.fork()
    influxdb3_local.write(LineBuilder("m").int64_field("f", 1))
