"""Raises an exception that cannot be shown."""


class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no text for you")


def process_scheduled_call(influxdb3_local, call_time, args=None):
    raise Silent
