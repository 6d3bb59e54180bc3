"""Is stopped by a signal that cannot be caught, and so cannot be interrupted."""

import os
import signal


def process_scheduled_call(influxdb3_local, call_time, args=None):
    os.kill(os.getpid(), signal.SIGSTOP)
