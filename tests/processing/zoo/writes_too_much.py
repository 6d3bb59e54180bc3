"""Writes more than a run may, and ignores that it is told."""

import contextlib


class Lines:
    def build(self):
        return 'm s="' + "x" * (1 << 20) + '"'


def process_scheduled_call(influxdb3_local, call_time, args=None):
    for _ in range(100):
        with contextlib.suppress(Exception):
            influxdb3_local.write(Lines())
