"""Asks for more than a socket holds and reads none of it."""

import json
import os
import stat
import struct
import time


def process_scheduled_call(influxdb3_local, call_time, args=None):
    header = json.dumps({"sql": "large", "params": None, "database": "db"}).encode()
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.write(descriptor, struct.pack("<4sHHIQ", b"HRW\x01", 23, 0, len(header), 0) + header)
        except OSError:
            pass
    time.sleep(600)
