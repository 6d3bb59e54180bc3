"""Returns, and leaves a thread behind that keeps the interpreter from ending."""

import threading


def process_scheduled_call(influxdb3_local, call_time, args=None):
    lock = threading.Lock()
    lock.acquire()
    threading.Thread(target=lock.acquire, daemon=False).start()
