"""Holds little itself and has its children hold a lot."""

import os
import time


def process_scheduled_call(influxdb3_local, call_time, args=None):
    for _ in range(8):
        if os.fork() == 0:
            held = b"x" * (100 << 20)
            time.sleep(600)
            os._exit(len(held) % 2)
    time.sleep(600)
