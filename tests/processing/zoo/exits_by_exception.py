"""Wants the interpreter to end."""

import sys


def process_scheduled_call(influxdb3_local, call_time, args=None):
    sys.exit(0)
