"""Raise an alert when a field crosses a threshold, as rows are written.

Trigger:    table:NAME
Arguments:  field        field to watch (required)
            above        alert when the value is greater than this
            below        alert when the value is less than this (one of the two is required)
            hysteresis   how far the value must come back before the alert ends (default 0)
            tags         tags that make a series, separated by spaces (default: every text column)
            webhook      URL that gets each alert as JSON by POST (optional)
            alert_table  table that gets each alert as a row (default threshold_alerts)

One alert when a series (a set of tags) crosses the threshold and one when it is back, not one a row.

    headrace create trigger --database DB --path threshold.py --trigger-spec table:home \
      --trigger-arguments field=temp,above=25,hysteresis=0.5 too_warm
"""

import json
import urllib.request


def post(influxdb3_local, url, alert):
    body = json.dumps(alert).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=5):
            pass
    except OSError as error:
        influxdb3_local.error(f"threshold: the webhook did not take the alert: {error}")


def process_writes(influxdb3_local, table_batches, args=None):
    args = args or {}
    field = args.get("field")
    if not field or ("above" not in args and "below" not in args):
        influxdb3_local.error("threshold: the arguments field and one of above and below are required")
        return
    above = float(args.get("above", "inf"))
    below = float(args.get("below", "-inf"))
    slack = float(args.get("hysteresis", "0"))
    keys = args["tags"].split() if "tags" in args else None

    for table_batch in table_batches:
        key = f"raised:{table_batch['table_name']}"
        raised = dict(influxdb3_local.cache.get(key, {}))
        for row in table_batch["rows"]:
            value = row.get(field)
            if value is None or isinstance(value, (str, bool)):
                continue
            names = row if keys is None else keys
            tags = {name: row[name] for name in names if name != field and isinstance(row.get(name), str)}
            series = json.dumps(tags, sort_keys=True)
            state = raised.get(series, "normal")
            if value > above or value < below:
                now = "high" if value > above else "low"
            elif (state == "high" and value > above - slack) or (state == "low" and value < below + slack):
                now = state
            else:
                now = "normal"
            if now == state:
                continue
            if now == "normal":
                raised.pop(series)
            else:
                raised[series] = now
            line = LineBuilder(args.get("alert_table", "threshold_alerts"))
            line.tag("source", table_batch["table_name"]).tag("field", field).tag("state", now)
            for name, text in tags.items():
                if text and name not in ("source", "field", "state"):
                    line.tag(name, text)
            influxdb3_local.write(line.float64_field("value", float(value)).time_ns(row["time"]))
            influxdb3_local.warn(f"threshold: {field} is {now}: {value} {series}")
            if args.get("webhook"):
                post(influxdb3_local, args["webhook"], {"state": now, "field": field, "value": value, "tags": tags})
        influxdb3_local.cache.put(key, raised)
