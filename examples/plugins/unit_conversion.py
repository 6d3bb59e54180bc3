"""Convert fields to other units as rows are written, into a table of their own.

Trigger:    table:NAME
Arguments:  conversions   FIELD:CONVERSION, several separated by spaces (required), such as
                          "temp:celsius_to_fahrenheit pressure:hpa_to_inhg"
            target_table  table to write (default: SOURCE_converted)

The converted row has the source row's tags and time; a field keeps its name with the new unit appended
(temp_fahrenheit). A trigger on a table never writes to that table here, so it cannot call itself.

    headrace create trigger --database DB --path unit_conversion.py --trigger-spec table:home \
      --trigger-arguments conversions=temp:celsius_to_fahrenheit home_units
"""

import pyarrow as pa
import pyarrow.compute as pc

# name: (factor, offset); the unit after "_to_" names the new field
CONVERSIONS = {
    "celsius_to_fahrenheit": (1.8, 32.0),
    "celsius_to_kelvin": (1.0, 273.15),
    "fahrenheit_to_celsius": (1 / 1.8, -32.0 / 1.8),
    "kelvin_to_celsius": (1.0, -273.15),
    "kmh_to_ms": (1 / 3.6, 0.0),
    "ms_to_kmh": (3.6, 0.0),
    "mph_to_kmh": (1.609344, 0.0),
    "kmh_to_mph": (1 / 1.609344, 0.0),
    "hpa_to_inhg": (0.0295299830714, 0.0),
    "hpa_to_mmhg": (0.750061682704, 0.0),
    "psi_to_bar": (0.0689475729318, 0.0),
    "bar_to_psi": (1 / 0.0689475729318, 0.0),
    "feet_to_metres": (0.3048, 0.0),
    "metres_to_feet": (1 / 0.3048, 0.0),
    "bytes_to_mebibytes": (1 / (1 << 20), 0.0),
    "joules_to_kwh": (1 / 3.6e6, 0.0),
}


def wanted(args):
    chosen = {}
    for part in (args or {}).get("conversions", "").split():
        field, _, conversion = part.rpartition(":")
        if not field or conversion not in CONVERSIONS:
            raise ValueError(f"{part!r} is not FIELD:CONVERSION; the conversions are {', '.join(sorted(CONVERSIONS))}")
        chosen[field] = conversion
    if not chosen:
        raise ValueError("the argument conversions is missing")
    return chosen


def process_batches(influxdb3_local, batches, args=None):
    chosen = wanted(args)
    for batch in batches:
        data, name = batch["data"], batch["table_name"]
        tags = [field.name for field in data.schema if pa.types.is_dictionary(field.type)]
        columns = {column: data.column(column) for column in [*tags, "time"]}
        for field, conversion in chosen.items():
            if field in data.schema.names:
                factor, offset = CONVERSIONS[conversion]
                values = pc.cast(data.column(field), pa.float64())
                unit = conversion.partition("_to_")[2]
                columns[f"{field}_{unit}"] = pc.add(pc.multiply(values, factor), offset)
        if len(columns) > len(tags) + 1:
            target = (args or {}).get("target_table", f"{name}_converted")
            influxdb3_local.write_table(target, pa.table(columns), tags=tags)
