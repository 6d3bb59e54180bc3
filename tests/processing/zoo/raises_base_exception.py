"""Raises what nobody catches."""


class Worst(BaseException):
    pass


def process_scheduled_call(influxdb3_local, call_time, args=None):
    raise Worst("caught all the same")
