"""Reads from address zero."""

import ctypes


def process_scheduled_call(influxdb3_local, call_time, args=None):
    ctypes.string_at(0)
