"""Waits for a lock that it holds."""

import threading


def process_scheduled_call(influxdb3_local, call_time, args=None):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
