"""Cannot be imported."""

import a_module_that_does_not_exist  # noqa: F401


def process_scheduled_call(influxdb3_local, call_time, args=None):
    pass
