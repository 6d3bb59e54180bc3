"""Dies before it can be called."""

import ctypes

ctypes.string_at(0)


def process_scheduled_call(influxdb3_local, call_time, args=None):
    pass
