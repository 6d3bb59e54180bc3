"""Score every written value by how far it is from what its series usually does.

Trigger:    table:NAME
Arguments:  fields        numeric fields to score, separated by spaces (required)
            tags          tags that make a series, separated by spaces (default: every text column)
            threshold     scores beyond this many deviations are logged as anomalies (default 4)
            half_life     rows after which an old value counts half (default 100)
            warm_up       rows a series must have shown before it is scored (default 20)
            target_table  table to write (default: SOURCE_scores)

Mean and variance of each series are exponentially weighted, so they follow slow change; the score is the
distance from the mean in standard deviations. They are kept in the trigger's cache between runs. An anomaly
moves the mean only as far as the threshold, so that a burst does not teach the plugin that bursts are normal.

    headrace create trigger --database DB --path anomaly_score.py --trigger-spec table:cpu \
      --trigger-arguments "fields=usage_user usage_system,threshold=5" cpu_scores
"""

import math

MAX_SERIES = 100_000


def process_writes(influxdb3_local, table_batches, args=None):
    args = args or {}
    fields = args.get("fields", "").split()
    if not fields:
        influxdb3_local.error("anomaly_score: the argument fields is missing")
        return
    keys = args["tags"].split() if "tags" in args else None
    threshold = float(args.get("threshold", "4"))
    weight = 1.0 - 0.5 ** (1.0 / float(args.get("half_life", "100")))
    warm_up = int(args.get("warm_up", "20"))

    for table_batch in table_batches:
        table = table_batch["table_name"]
        state = influxdb3_local.cache.get(f"state:{table}", {})
        for row in table_batch["rows"]:
            names = row if keys is None else keys
            tags = tuple((name, row[name]) for name in names if name not in fields and isinstance(row.get(name), str))
            line = LineBuilder(args.get("target_table", f"{table}_scores")).time_ns(row["time"])
            for name, text in tags:
                if text:
                    line.tag(name, text)
            scored = False
            for field in fields:
                value = row.get(field)
                if value is None or isinstance(value, (str, bool)):
                    continue
                key = (field, tags)
                if key not in state and len(state) >= MAX_SERIES:
                    continue
                count, mean, variance = state.get(key, (0, float(value), 0.0))
                deviation = math.sqrt(variance)
                difference = value - mean
                if count >= warm_up and deviation > 0.0:
                    score = difference / deviation
                    line.float64_field(f"{field}_score", score)
                    scored = True
                    if abs(score) > threshold:
                        series = ",".join(f"{name}={text}" for name, text in tags)
                        influxdb3_local.warn(
                            f"anomaly_score: {table} {series} {field}={value} is {score:+.1f} deviations away"
                        )
                        difference = math.copysign(threshold * deviation, difference)
                step = max(weight, 1.0 / (count + 1))
                state[key] = (count + 1, mean + step * difference, (1 - step) * (variance + step * difference**2))
            if scored:
                influxdb3_local.write(line)
        influxdb3_local.cache.put(f"state:{table}", state)
