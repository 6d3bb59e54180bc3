"""Logs and prints without end."""


def process_scheduled_call(influxdb3_local, call_time, args=None):
    for number in range(500_000):
        influxdb3_local.info("line", number)
        print("line", number)
