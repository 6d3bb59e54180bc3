"""Downsample a table on a schedule: one row a window and tag set, with mean, min, max and count of every number.

Trigger:    every:5m, cron:… (the window ends at the last full `window` before the call)
Arguments:  source_table   table to read (required)
            target_table   table to write (default: SOURCE_WINDOW, such as home_5m)
            window         length of a window: 30s, 5m, 1h … (default 5m)
            lookback       windows computed again at each call, for rows that come late (default 2)
            tags           tags to keep, separated by spaces (default: all of them)
            fields         fields to keep, separated by spaces (default: all numeric ones)

A window that is computed twice is written at the same time with the same tags, so it replaces itself.

    headrace create trigger --database DB --path downsampler.py --trigger-spec every:5m \
      --trigger-arguments source_table=home,window=5m home_5m
"""

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
NUMBERS = ("Int64", "UInt64", "Float64")


def seconds(text):
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS or not number.isdigit() or int(number) == 0:
        raise ValueError(f"window {text!r} is not a duration such as 30s, 5m or 1h")
    return int(number) * UNITS[unit]


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def columns(influxdb3_local, table):
    """Tags and numeric fields of a table, as its schema lists them."""
    found = influxdb3_local.query(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'iox' AND table_name = $table",
        {"table": table},
    )
    tags = [row["column_name"] for row in found if row["data_type"].startswith("Dictionary")]
    fields = {row["column_name"]: row["data_type"] for row in found if row["data_type"] in NUMBERS}
    return tags, fields


def process_scheduled_call(influxdb3_local, call_time, args=None):
    args = args or {}
    source = args.get("source_table")
    if not source:
        influxdb3_local.error("downsampler: the argument source_table is missing")
        return
    text = args.get("window", "5m")
    window = seconds(text)
    target = args.get("target_table", f"{source}_{text}")

    tags, fields = columns(influxdb3_local, source)
    if "tags" in args:
        tags = args["tags"].split()
    if "fields" in args:
        fields = {name: kind for name, kind in fields.items() if name in args["fields"].split()}
    if not fields:
        influxdb3_local.warn(f"downsampler: {source} has no numeric fields to downsample")
        return

    end = int(call_time.timestamp()) // window * window
    start = end - window * int(args.get("lookback", "2"))
    statistics = ", ".join(
        f"avg({quoted(name)}) AS {quoted(name + '_mean')}, min({quoted(name)}) AS {quoted(name + '_min')}, "
        f"max({quoted(name)}) AS {quoted(name + '_max')}, count({quoted(name)}) AS {quoted(name + '_count')}"
        for name in fields
    )
    keys = "".join(f", {quoted(tag)}" for tag in tags)
    rows = influxdb3_local.query(
        f"SELECT date_bin(INTERVAL '{window} seconds', time) AS time{keys}, {statistics} FROM {quoted(source)} "
        f"WHERE time >= to_timestamp_seconds({start}) AND time < to_timestamp_seconds({end}) GROUP BY 1{keys}"
    )
    for row in rows:
        line = LineBuilder(target).time_ns(row["time"])
        for tag in tags:
            if row[tag] is not None:
                line.tag(tag, row[tag])
        written = False
        for name, kind in fields.items():
            if not row[f"{name}_count"]:
                continue
            whole = line.float64_field if kind == "Float64" else line.int64_field
            if kind == "UInt64":
                whole = line.uint64_field
            line.float64_field(f"{name}_mean", row[f"{name}_mean"])
            whole(f"{name}_min", row[f"{name}_min"])
            whole(f"{name}_max", row[f"{name}_max"])
            line.int64_field(f"{name}_count", row[f"{name}_count"])
            written = True
        if written:
            influxdb3_local.write(line)
    influxdb3_local.info(f"downsampler: {len(rows)} rows of {source} into {target}")
