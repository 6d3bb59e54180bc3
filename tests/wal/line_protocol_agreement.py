"""Holding the compiled parser against the oracle, and bodies on which they might differ."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from headrace.wal.line_protocol import ParsedLines, Precision, parse_lines
from headrace.wal.schema import ColumnType, TableSchema

from tests.wal import line_protocol_oracle as oracle

NOW = 1_700_000_000_123_456_789


def nothing_known(_: str) -> None:
    return None


def assert_agreement(
    body: bytes,
    schemas: Mapping[str, TableSchema] | None = None,
    precision: Precision = Precision.AUTO,
) -> ParsedLines:
    """Parse with both; values, types, order, verdicts and messages must be the same."""
    lookup: Callable[[str], TableSchema | None] = (schemas or {}).get
    parsed = parse_lines(body, lookup, precision=precision, default_time_ns=NOW)
    expected = oracle.read(body, lookup, precision, NOW)
    errors = [(e.line_number, e.original_line, e.error_message) for e in parsed.errors]
    assert errors == expected.errors[: len(errors)]
    assert parsed.error_count == len(expected.errors)
    assert len(errors) == min(parsed.error_count, 1000)
    tables = {table.name: table for table in parsed.tables}
    assert len(tables) == len(parsed.tables)
    assert tables.keys() == expected.tables.keys()
    for name, wanted in expected.tables.items():
        batch = tables[name].batch
        batch.validate(full=True)
        assert batch.schema == pa.schema(
            [(column, kind.arrow) for column, kind in wanted.columns.items()] + [("time", pa.timestamp("ns"))]
        )
        known = wanted.known.columns if wanted.known else {}
        assert list(tables[name].new_columns.items()) == [c for c in wanted.columns.items() if c[0] not in known]
        for column, kind in [*wanted.columns.items(), ("time", ColumnType.TIME)]:
            assert_same_values(batch.column(column), [row.get(column) for row in wanted.rows], kind)
    assert parsed.rows == sum(len(table.rows) for table in expected.tables.values())
    return parsed


def assert_same_values(got: pa.Array, wanted: list[object], kind: ColumnType) -> None:
    if kind is ColumnType.FLOAT:
        # By their bits: 0.0 is not -0.0. No line makes a NaN, so it may stand for a null.
        floats = np.array([np.nan if value is None else value for value in wanted], np.float64)
        assert np.array_equal(got.fill_null(np.nan).to_numpy().view(np.int64), floats.view(np.int64))
    if kind is ColumnType.TAG:
        assert got.dictionary.unique().equals(got.dictionary)
        got = got.dictionary_decode()
    expected = pa.array(wanted, got.type)
    assert got.null_count == expected.null_count
    if not got.equals(expected):
        assert got.to_pylist() == wanted


NAMES = ["m", "cpu", "disk\\ io", "a\\,b", "höhe", "x=y", "temp\\\\z", 'q"uote', "back\\slash", "t", "é", "home"]
KEYS = ["f", "g", "host", "usage_user", "a\\ b", "k\\=v", "ключ", 'f"', "long_field_name_here", "time1", "c\\,d"]
TAG_VALUES = ["a", "server\\ 1", "eu-west-1", "x=1", "日本", "v\\,w", "10.0.0.1", '"q"', "zz\\\\y", "z" * 40]
STRINGS = ["", "plain", "two\nlines", 'say \\"hi\\"', "back\\\\slash", "c:\\dir", "日本語", "a,b=c d", "x" * 70, "\\\n"]
ASCII_FLAWS = [b" ", b",", b"=", b"\\", b'"', b"\n", b"\r\n", b"\t", b"\0", b"#", b"i", b"e", b"-", b""]
# One line that is not UTF-8 makes the parser look at every line of its body more slowly.
FLAWS = [*ASCII_FLAWS, b"\xff", b"\xc3"]


def a_value(rng: random.Random) -> str:
    kind = rng.randrange(8)
    if kind == 0:
        return f"{rng.choice([0, 7, -3, 12345678, rng.getrandbits(63), -(1 << 63), (1 << 63) - 1])}i"
    if kind == 1:
        return f"{rng.choice([0, 9, rng.getrandbits(64), (1 << 64) - 1])}u"
    if kind == 2:
        return rng.choice(["t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"])
    if kind == 3:
        return f'"{rng.choice(STRINGS)}"'
    if kind == 4:
        return repr(rng.uniform(-1e6, 1e6))
    if kind == 5:
        return rng.choice(
            ["0", "-0", "1.5", "1e5", "-2.5E-7", "1e400", "5e-324", "0.1" + "2" * 25, "123456789012345678901"]
        )
    if kind == 6:
        return f"{rng.uniform(0, 100):.1f}"
    return rng.choice(
        ["9223372036854775808i", "18446744073709551616u", "1.", ".5", "+1", "NaN", "inf", "tru", "1.5i", '"x']
    )


def a_line(rng: random.Random, kinds: dict[str, str]) -> str:
    """A line that is most often good: each table's field has mostly one type."""
    name = rng.choice(NAMES)
    text = name
    for key in rng.sample(KEYS, rng.choice([0, 0, 1, 1, 2, 3])):
        text += f",t_{key}={rng.choice(TAG_VALUES)}"
    fields = []
    for key in rng.sample(KEYS, rng.choice([1, 1, 2, 3, 5])):
        place = f"{name}/{key}"
        value = kinds.get(place)
        if value is None or rng.random() < 0.02:
            value = kinds[place] = a_value(rng)
        elif value.endswith("i"):
            value = f"{rng.randrange(-(10 ** rng.randrange(1, 19)), 10 ** rng.randrange(1, 19))}i"
        fields.append(f"{key}={value}")
    text += " " + ",".join(fields)
    if rng.random() < 0.8:
        text += f" {rng.choice([0, 1, -5, 1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_001, NOW, -NOW, 10**19])}"
    if rng.random() < 0.05:
        text += rng.choice([" ", "  ", "\r", " \r", " x", ","])
    return text


def flawed(rng: random.Random, text: bytes, flaws: Sequence[bytes] = ASCII_FLAWS) -> bytes:
    """``text`` with something small put in, taken out or exchanged."""
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(flaws) + text[at + rng.randrange(2) :]


def a_body(rng: random.Random, lines: int, flaws: float) -> bytes:
    kinds: dict[str, str] = {}
    kinds_of_flaws = FLAWS if rng.random() < 0.2 else ASCII_FLAWS
    made = []
    for _ in range(lines):
        line = rng.choice(made) if made and rng.random() < 0.3 else a_line(rng, kinds).encode()
        made.append(flawed(rng, line, kinds_of_flaws) if rng.random() < flaws else line)
        if rng.random() < 0.02:
            made.append(rng.choice([b"", b"# comment", b" ", b"\r", b"\t# x"]))
    return b"\n".join(made) + rng.choice([b"", b"\n", b"\n\n"])
