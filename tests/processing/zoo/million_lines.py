"""Writes a million lines in one run, which is a lot and allowed."""


def process_scheduled_call(influxdb3_local, call_time, args=None):
    for number in range(1_000_000):
        influxdb3_local.write(LineBuilder("m").int64_field("f", number))
