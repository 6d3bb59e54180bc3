"""Begins a message and never ends it, by way of a process that outlives the worker and holds its socket."""

import ctypes
import os
import stat
import time


def process_scheduled_call(influxdb3_local, call_time, args=None):
    if ctypes.CDLL(None).fork() == 0:
        time.sleep(600)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.write(descriptor, b"HRW")
        except OSError:
            pass
    os._exit(0)
