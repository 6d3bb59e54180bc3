"""Writes more than a run may, and ignores that it is told."""


class Lines:
    def build(self):
        return 'm s="' + "x" * (1 << 20) + '"'


def process_scheduled_call(influxdb3_local, call_time, args=None):
    for _ in range(100):
        try:
            influxdb3_local.write(Lines())
        except Exception:
            pass
