"""Twelve hours of a small house as line protocol: four tables, every kind of value, the same bytes each time.

    python examples/sample.py > sample.lp
    headrace write --database home --precision s --file sample.lp

home    temperature, humidity, carbon monoxide, battery and window of three rooms, once a minute
power   watts and a meter reading of four circuits, every five minutes
weather what the station on the roof sees, every ten minutes
events  who rang, what broke: strings with quotes, commas, line breaks and letters beyond ASCII
"""

import math
import sys
from collections.abc import Iterator

START = 1_767_254_400  # 2026-01-01T08:00:00Z, in seconds
HOURS = 12

ROOMS = (
    # room as a tag value, warmth, phase, window opened at these hours
    (r"Kitchen", 21.0, 0.0, (9, 13)),
    (r"Living\ Room", 20.5, 0.7, (10,)),
    (r"Attic\,\ north", 17.0, 1.9, ()),
)
CIRCUITS = ("lights", "oven", "heat_pump", r"garage\=workshop")
EVENTS = (
    (4, r"door", r"kind=bell", r'"parcel for \"Noor\""', "true"),
    (61, r"door", r"kind=bell", '"two letters,\none postcard"', "true"),
    (95, r"smoke", r"kind=alarm,room=Kitchen", r'"toast, again"', "false"),
    (240, r"pump", r"kind=fault", r'"E\\17: no flow"', "true"),
    (333, r"door", r"kind=bell", '"Jürgen brought Käse 🧀"', "true"),
    (471, r"boiler\ room", r"kind=visit", '""', "false"),
)


def home() -> Iterator[str]:
    for minute in range(HOURS * 60):
        hour = minute / 60
        for room, warmth, phase, airings in ROOMS:
            temp = warmth + 1.5 * math.sin(hour / 2 + phase) + 0.2 * math.sin(minute * 1.7 + phase)
            # Lunch and dinner: the oven warms the kitchen.
            for meal in (4.5, 10.0):
                if room == "Kitchen":
                    temp += 6.5 * math.exp(-(((hour - meal) / 0.35) ** 2))
            open_now = any(hours <= hour + 8 < hours + 0.25 for hours in airings)
            if open_now:
                temp -= 2.5
            hum = 40 - (temp - 20) * 1.8 + 3 * math.cos(hour + phase)
            co = max(0, round(9 * math.sin(hour / 3 + phase) - 4)) - (1 if minute % 97 == 0 else 0)
            window = "t" if open_now else "f"
            yield f"home,room={room} temp={temp:.2f},hum={hum:.1f},co={co}i,window={window} {START + minute * 60}"


def power() -> Iterator[str]:
    meters = [10_000_000_000_000_000_000 + 7 * number for number in range(len(CIRCUITS))]
    for step in range(HOURS * 12):
        for number, circuit in enumerate(CIRCUITS):
            watts = 40 + 900 * max(0.0, math.sin(step / 11 + number)) ** 3
            meters[number] += round(watts / 12)
            yield f"power,circuit={circuit} watts={watts:e},meter={meters[number]}u {START + step * 300}"


def weather() -> Iterator[str]:
    for step in range(HOURS * 6):
        outside = -3 + 6 * math.sin(step / 25)
        # The barometer was mounted at ten: rows before that lack it.
        pressure = f",pressure={1013 + 4 * math.cos(step / 30):.1f}" if step >= 12 else ""
        wind = 3 + 2 * math.sin(step)
        yield f"weather,station=roof temp={outside:.1f},wind={wind:.1f}{pressure} {START + step * 600}"


def events() -> Iterator[str]:
    for minute, source, tags, text, acknowledged in EVENTS:
        yield f"events,source={source},{tags} text={text},acknowledged={acknowledged} {START + minute * 60}"


def lines() -> Iterator[str]:
    """Every line of the sample; one of them holds a line break inside its quotes."""
    yield "# twelve hours of a small house, times in seconds"
    yield from home()
    yield from power()
    yield from weather()
    yield from events()


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    for line in lines():
        print(line)
