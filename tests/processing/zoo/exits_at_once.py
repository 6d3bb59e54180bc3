"""Leaves without a word."""

import os


def process_scheduled_call(influxdb3_local, call_time, args=None):
    influxdb3_local.info("last words")
    os._exit(3)
