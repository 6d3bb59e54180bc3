"""Recurses in C, where no limit of the interpreter helps once it is out of the way."""

import sys


class Bottomless:
    def __repr__(self):
        return repr([self])


def process_scheduled_call(influxdb3_local, call_time, args=None):
    sys.setrecursionlimit(1 << 30)
    repr(Bottomless())
