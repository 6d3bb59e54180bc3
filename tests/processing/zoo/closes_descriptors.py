"""Closes everything it finds open."""

import os


def process_scheduled_call(influxdb3_local, call_time, args=None):
    os.closerange(0, 1024)
    influxdb3_local.info("is anybody there?")
