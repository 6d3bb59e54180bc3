"""Puts more into the cache than it holds."""


def process_scheduled_call(influxdb3_local, call_time, args=None):
    for number in range(200):
        influxdb3_local.cache.put(f"key {number}", b"x" * (1 << 20), use_global=True)
