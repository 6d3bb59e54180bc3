"""Takes all the memory there is."""


def process_scheduled_call(influxdb3_local, call_time, args=None):
    held = []
    for _ in range(10_000):
        held.append(b"x" * (1 << 20))
