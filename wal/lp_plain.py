"""Line protocol, read in the most obvious way: one line at a time, one regular expression a token.

This is what the compiled parser is held against. It shares no code with it and knows none of its
tricks; where the two disagree, one of them is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from headrace.wal.precision import Precision
from headrace.wal.schema import ColumnType, TableSchema

Value: TypeAlias = float | int | bool | str
Fields: TypeAlias = list[tuple[str, ColumnType, Value]]
Tags: TypeAlias = list[tuple[str, str]]

NAME_LIMIT = 1 << 20  # bytes of a name, a tag value or a string, after its escapes are resolved
COLUMNS_IN_A_LINE = 8192
ENDS_WITH_BACKSLASH = "Measurements, tag keys and values, and field keys may not end with a backslash"

_MEASUREMENT = re.compile(r"(?:[^ \t\n\0,\\]|\\.|\\\Z)+", re.S)
_TAG_KEY = _FIELD_KEY = re.compile(r"(?:[^ \t\n=\\]|\\.|\\\Z)+", re.S)
_TAG_VALUE = re.compile(r"(?:[^ \t\n,\\]|\\.|\\\Z)+", re.S)
_INTEGER = re.compile(r"(-?[0-9]+)i")
_UINTEGER = re.compile(r"([0-9]+)u")
_FLOAT = re.compile(r"-?[0-9]+\.[0-9]+[eE][-+]?[0-9]+|-?[0-9]+[eE][-+]?[0-9]+|-?[0-9]+\.[0-9]+|-?[0-9]+")
_STRING = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.S)
_BOOLEAN = re.compile("true|True|TRUE|t|T|false|False|FALSE|f|F")
_SPACES = re.compile(" +")
_TIMESTAMP = re.compile(" +(-?[0-9]+) *")
_BLANK = re.compile(rb"[ \t\n]*")
_TYPE_NAMES = {
    ColumnType.TAG: "iox::column_type::tag",
    ColumnType.FLOAT: "iox::column_type::field::float",
    ColumnType.INTEGER: "iox::column_type::field::integer",
    ColumnType.UINTEGER: "iox::column_type::field::uinteger",
    ColumnType.STRING: "iox::column_type::field::string",
    ColumnType.BOOLEAN: "iox::column_type::field::boolean",
}


class Refused(Exception):
    """The line is bad; the text says why."""


@dataclass
class Table:
    """What the good lines of a body say about one table."""

    columns: dict[str, ColumnType] = field(default_factory=dict)
    rows: list[dict[str, Value]] = field(default_factory=list)
    known: TableSchema | None = None


@dataclass
class Verdict:
    tables: dict[str, Table] = field(default_factory=dict)
    errors: list[tuple[int, str, str]] = field(default_factory=list)


def read(
    body: bytes, schemas: Callable[[str], TableSchema | None], precision: Precision, default_time_ns: int
) -> Verdict:
    """Rows and columns by table, and ``(line number, original line, message)`` of each bad line."""
    verdict = Verdict()
    looked_up: dict[str, Table] = {}
    for number, line in lines(body):
        try:
            try:
                text = line.decode()
            except UnicodeDecodeError:
                raise Refused("Line is not valid UTF-8") from None
            measurement, tags, fields, timestamp = parse(text)
            if measurement not in looked_up:
                looked_up[measurement] = Table(known=schemas(measurement))
            table = looked_up[measurement]
            added = check(table, tags, fields)
            time = to_nanoseconds(timestamp, precision, default_time_ns)
        except Refused as refused:
            verdict.errors.append((number, first_bytes(line), str(refused)))
            continue
        table.columns |= added
        table.rows.append(dict(tags) | {name: value for name, _, value in fields} | {"time": time})
        verdict.tables[measurement] = table
    return verdict


def lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Each line with content, and its number, counting every newline of the body."""
    at, number = 0, 1
    while at < len(body):
        start = _BLANK.match(body, at).end()  # type: ignore[union-attr]
        number += body.count(b"\n", at, start)
        at = start
        if body[at : at + 1] == b"#":
            end = body.find(b"\n", at)
            at = len(body) if end < 0 else end
            continue
        if at >= len(body):
            return
        end = line_end(body, at)
        line = body[at:end].removesuffix(b"\r")
        if line:
            yield number, line
        number += body.count(b"\n", at, end)
        at = end


def line_end(body: bytes, start: int) -> int:
    """Where the line ends: at a newline that is neither escaped nor inside a quoted field value."""
    newline = body.find(b"\n", start)
    end = len(body) if newline < 0 else newline
    if body.find(b"\\", start, end) < 0 and body.find(b'"', start, end) < 0:
        return end
    at, in_fields, quoted, equals, commas = start, False, False, 0, 0
    while at < len(body):
        char = body[at : at + 1]
        if char == b"\\":
            at += 2
            continue
        if char == b"\n" and not quoted:
            return at
        if char == b" ":
            in_fields = True
        elif in_fields and not quoted and char == b"=":
            equals += 1
        elif in_fields and not quoted and char == b",":
            commas += 1
        elif in_fields and char == b'"' and equals > commas:
            quoted = not quoted
        at += 1
    return len(body)


def parse(text: str) -> tuple[str, Tags, Fields, int | None]:
    """Measurement, tags, fields and timestamp of one line; raises :class:`Refused`."""
    found = _MEASUREMENT.match(text)
    if not found:
        raise Refused("Invalid measurement was provided")
    measurement, at = name(found[0], ", \\"), found.end()
    tags: Tags = []
    first_tag = at + 1
    while text[at : at + 1] == ",":
        at += 1
        found = _TAG_KEY.match(text, at)
        if not found:
            raise Refused("Expected tag key, got " + (f"`{shortened(text[at:])}`" if text[at:] else "end of input"))
        key, at = name(found[0], ",= \\"), found.end()
        if text[at : at + 1] != "=":
            raise Refused(f"Tag set malformed: could not find equals sign in `{shortened(text[first_tag:])}`")
        at += 1
        found = _TAG_VALUE.match(text, at)
        if not found:
            raise Refused("Expected tag value, got " + (f"`{shortened(text[at:])}`" if text[at:] else "end of input"))
        tags.append((key, name(found[0], ",= \\")))
        at = found.end()
    if len(tags) > COLUMNS_IN_A_LINE:
        raise Refused(f"More than {COLUMNS_IN_A_LINE} tags in one line")
    found = _SPACES.match(text, at)
    if not found:
        got = f"`{capped(text[at:])}`" if text[at:] else "end of input"
        raise Refused(f"Expected at least one space character, got {got}")
    fields, at = parse_fields(text, found.end())
    found = _TIMESTAMP.match(text, at)
    timestamp = None
    if found:
        timestamp, at = int(found[1]), found.end()
        if not -(1 << 63) <= timestamp < 1 << 63:
            raise Refused(f"Unable to parse timestamp value `{capped(found[1])}`")
    if text[at:].strip(" "):
        raise Refused(f"Could not parse entire line. Found trailing content: `{shortened(text[at:])}`")
    return measurement, tags, fields, timestamp


def parse_fields(text: str, at: int) -> tuple[Fields, int]:
    fields: Fields = []
    one = parse_field(text, at)
    if one is None:
        raise Refused("No fields were provided")
    while one is not None:
        fields.append(one[:3])
        at = one[3]
        if text[at : at + 1] != ",":
            break
        one = parse_field(text, at + 1)
        if one is None and len(fields) == 1:
            at += 1  # the peer forgives a comma after the only field
    if len(fields) > COLUMNS_IN_A_LINE:
        raise Refused(f"More than {COLUMNS_IN_A_LINE} fields in one line")
    return fields, at


def parse_field(text: str, at: int) -> tuple[str, ColumnType, Value, int] | None:
    """Key, type, value and where it ends; None where there is no well-formed field."""
    found = _FIELD_KEY.match(text, at)
    if not found:
        return None
    key, at = name(found[0], ",= \\"), found.end()
    if text[at : at + 1] != "=":
        return None
    at += 1
    if found := _INTEGER.match(text, at):
        integer = int(found[1])
        if not -(1 << 63) <= integer < 1 << 63:
            raise Refused(f"Unable to parse integer value `{capped(found[1])}`")
        return key, ColumnType.INTEGER, integer, found.end()
    if found := _UINTEGER.match(text, at):
        integer = int(found[1])
        if integer >= 1 << 64:
            raise Refused(f"Unable to parse unsigned integer value `{capped(found[1])}`")
        return key, ColumnType.UINTEGER, integer, found.end()
    if found := _FLOAT.match(text, at):
        return key, ColumnType.FLOAT, float(found[0]), found.end()
    if found := _STRING.match(text, at):
        string = re.sub(r'\\(["\\])', r"\1", found[1])
        if len(string.encode()) > NAME_LIMIT:
            raise Refused("String is greater than 1MB")
        return key, ColumnType.STRING, string, found.end()
    if found := _BOOLEAN.match(text, at):
        return key, ColumnType.BOOLEAN, found[0] in ("true", "True", "TRUE", "t", "T"), found.end()
    return None


def name(raw: str, escapable: str) -> str:
    """``raw`` with its escapes resolved: a backslash before any other character stands for itself."""
    if "\\" in raw:
        raw = re.sub(r"\\(.)", lambda pair: pair[1] if pair[1] in escapable else pair[0], raw, flags=re.S)
    if raw.endswith("\\"):
        raise Refused(ENDS_WITH_BACKSLASH)
    if len(raw.encode()) > NAME_LIMIT:
        raise Refused("String is greater than 1MB")
    return raw


def check(table: Table, tags: Tags, fields: Fields) -> dict[str, ColumnType]:
    """The columns the line adds to what the body says about its table; raises :class:`Refused`."""
    known = table.known.columns if table.known else {}
    of_line: dict[str, ColumnType] = {}
    for key, _ in tags:
        if key == "time":
            raise Refused("'time' is a reserved column")
        if key in of_line:
            raise Refused(f"Must not contain duplicate tags, but `{capped(key)}` was repeated")
        kind = known.get(key) or table.columns.get(key) or ColumnType.TAG
        if kind != ColumnType.TAG:
            raise Refused(conflict(key, kind, ColumnType.TAG))
        of_line[key] = ColumnType.TAG
    for key, kind, _ in fields:
        if key == "time":
            raise Refused("'time' is a reserved column")
        expected = of_line.get(key) or known.get(key) or table.columns.get(key) or kind
        if kind != expected:
            raise Refused(conflict(key, expected, kind))
        if key in of_line:
            raise Refused(f"invalid line protocol - multiple instances of '{capped(key)}' field found")
        of_line[key] = kind
    return of_line


def conflict(key: str, expected: ColumnType, got: ColumnType) -> str:
    return f"invalid column type for column '{capped(key)}', expected {_TYPE_NAMES[expected]}, got {_TYPE_NAMES[got]}"


def to_nanoseconds(timestamp: int | None, precision: Precision, default_time_ns: int) -> int:
    if timestamp is None:
        unit = precision.nanoseconds or 1
        return (
            int(default_time_ns / unit) * unit if unit > 1 and default_time_ns < 0 else default_time_ns // unit * unit
        )
    unit = precision.nanoseconds
    if precision is Precision.AUTO:
        magnitude = abs(timestamp)
        if magnitude < 5 * 10**9:
            unit = 10**9
        elif magnitude < 5 * 10**12:
            unit = 10**6
        elif magnitude < 5 * 10**15:
            unit = 10**3
        else:
            unit = 1
    if not -(1 << 63) <= timestamp * unit < 1 << 63:
        raise Refused(f"timestamp, {timestamp}, out of range for precision: {precision.value.capitalize()}")
    return timestamp * unit


def shortened(text: str) -> str:
    """What is shown of the place where parsing stopped."""
    return text[:10] + "..." if len(text.encode()) > 10 else text


def capped(text: str) -> str:
    """What is shown of a name or a number of any length."""
    return text[:256] + "..." if len(text) > 256 else text


def first_bytes(line: bytes) -> str:
    """At most 20 bytes of the line, cut between characters."""
    cut = line[:20]
    if len(line) > 20:
        at = 20
        while at > 16 and line[at] & 0xC0 == 0x80:
            at -= 1
        cut = line[:at]
    return cut.decode(errors="replace")
