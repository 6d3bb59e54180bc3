"""Raise an alert when a table, or one of its series, goes silent; and another when it comes back.

Trigger:    every:1m
Arguments:  table        table to watch (required)
            tag          watch each value of this tag on its own, such as host (default: the whole table)
            silence      seconds without a row before the alert (default 300)
            horizon      seconds to look back for series (default 86400)
            webhook      URL that gets each alert as JSON by POST (optional)
            alert_table  table that gets each alert as a row (default deadman_alerts)

An alert is sent once when silence begins and once when it ends. What has been sent is kept in the trigger's
cache. A tag value that was never seen cannot be missed: only what has written within the horizon can go silent.

    headrace create trigger --database DB --path deadman.py --trigger-spec every:1m \
      --trigger-arguments table=cpu,tag=host,silence=120,webhook=http://127.0.0.1:9000/alerts cpu_deadman
"""

import json
import time
import urllib.request


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def post(url, alert):
    body = json.dumps(alert).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=10):
        pass


def process_scheduled_call(influxdb3_local, call_time, args=None):
    args = args or {}
    table, tag = args.get("table"), args.get("tag")
    if not table:
        influxdb3_local.error("deadman: the argument table is missing")
        return
    silence = float(args.get("silence", "300"))
    series = f"coalesce({quoted(tag)}, '')" if tag else "''"
    horizon = float(args.get("horizon", "86400"))
    rows = influxdb3_local.query(
        f"SELECT {series} AS series, max(time) AS last FROM {quoted(table)} "
        f"WHERE time > now() - INTERVAL '{horizon:.0f} seconds' GROUP BY 1"
    )
    now = time.time_ns()
    silent = dict(influxdb3_local.cache.get("silent", {}))
    for row in rows:
        name, age = row["series"], (now - row["last"]) / 1e9
        state = "silent" if age > silence else "alive"
        if (state == "silent") == (name in silent):
            continue
        alert = {"state": state, "table": table, "seconds": round(age, 3), "last": row["last"]}
        if tag:
            alert[tag] = name
        # The alert counts as sent only once the webhook has taken it; otherwise the next call tries again.
        if args.get("webhook"):
            try:
                post(args["webhook"], alert)
            except OSError as error:
                influxdb3_local.error(f"deadman: the webhook did not take the alert for {name or table}: {error}")
                continue
        line = LineBuilder(args.get("alert_table", "deadman_alerts")).tag("table", table).tag("state", state)
        if tag and name:
            line.tag(tag, name)
        influxdb3_local.write(line.float64_field("seconds", age).time_ns(now))
        influxdb3_local.warn(f"deadman: {name or table} is {state} ({age:.0f} s since its last row)")
        if state == "silent":
            silent[name] = row["last"]
        else:
            silent.pop(name)
    influxdb3_local.cache.put("silent", silent)
