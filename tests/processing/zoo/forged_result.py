"""Ends its run with a result whose parts lie about what follows."""

import json
import os
import stat
import struct


def process_scheduled_call(influxdb3_local, call_time, args=None):
    column = ["v", "utf8", [0, 8, 4]]
    part = {"database": "db", "table": "t", "tags": [], "rows": 1, "columns": [column], "length": 16}
    header = json.dumps({"parts": [part], "response": None, "dropped": 0}).encode()
    payload = struct.pack("<ii8s", 0, 1_000_000, b"four")
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.write(descriptor, struct.pack("<4sHHIQ", b"HRW\x01", 26, 0, len(header), 16) + header + payload)
        except OSError:
            pass
