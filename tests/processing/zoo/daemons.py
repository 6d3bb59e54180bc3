"""Leaves daemons behind: forked twice, in sessions of their own. Crashes afterwards if told to."""

import os
import time


def process_scheduled_call(influxdb3_local, call_time, args=None):
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(600)
            os._exit(0)
    if args:
        os._exit(1)
