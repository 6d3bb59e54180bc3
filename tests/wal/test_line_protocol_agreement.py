"""The compiled parser and the oracle say the same about any body."""

from __future__ import annotations

import random

import pytest
from headrace.wal.line_protocol import Precision, warm_up
from headrace.wal.schema import TableSchema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wal.line_protocol_agreement import FLAWS, a_body, a_line, assert_agreement, flawed

pytestmark = pytest.mark.usefixtures("compiled")

_relaxed = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

GOOD_LINES = [
    b'cpu,host=a\\ b,region=eu usage=1i,idle=2.5,up=t,note="a \\"b\\" c",n=7u 1700000000',
    b"m f=1",
    b"m,t=v f=-1.5e3,g=12345678901234567890.5 -5",
    b'disk\\,io,path=/var/lib,dev=\\=x read="two\nlines" 1700000000000',
    'größe,ort=köln wert=3i,text="日本" 1700000000123456789'.encode(),
]


@pytest.fixture(scope="module")
def compiled() -> None:
    warm_up()


@given(st.randoms(use_true_random=False), st.sampled_from([1, 2, 5, 60]), st.floats(0, 1), st.sampled_from(Precision))
@_relaxed
def test_generated_bodies_agree(rng: random.Random, lines: int, flaws: float, precision: Precision) -> None:
    assert_agreement(a_body(rng, lines, flaws), precision=precision)


@given(st.lists(st.sampled_from([*b' ,=\\"\n\r\t\0#abt19.-eiu', 0xC3, 0xA9, 0xFF]), max_size=60))
@_relaxed
def test_garbage_made_of_the_grammars_own_bytes_agrees(text: list[int]) -> None:
    assert_agreement(bytes(text))


@given(st.binary(max_size=200))
@_relaxed
def test_any_bytes_agree(body: bytes) -> None:
    assert_agreement(body)


@given(st.text(max_size=80), st.text(max_size=20), st.text(max_size=20))
@_relaxed
def test_any_text_in_the_places_of_names_and_strings_agrees(name: str, key: str, text: str) -> None:
    body = f'{name},{key}={text} {key}="{text}",f=1 5\nm,{key}={text} {name}=1i\n'.encode(errors="replace")
    assert_agreement(body)


@pytest.mark.parametrize("line", GOOD_LINES)
def test_a_good_line_with_any_byte_exchanged_taken_out_or_put_in_agrees(line: bytes) -> None:
    frame = GOOD_LINES[0] + b"\n%b\n" + GOOD_LINES[1]
    for at in range(len(line) + 1):
        for flaw in FLAWS:
            for cut in (0, 1):
                assert_agreement(frame % (line[:at] + flaw + line[at + cut :]))


@pytest.mark.parametrize("line", GOOD_LINES)
def test_a_body_that_ends_anywhere_in_a_line_agrees(line: bytes) -> None:
    for head in (b"", GOOD_LINES[0] + b"\n", (GOOD_LINES[1] + b"\n") * 30):
        for end in range(len(line) + 1):
            assert_agreement(head + line[:end])


@given(st.randoms(use_true_random=False))
@settings(_relaxed, max_examples=50)
def test_bodies_agree_when_the_catalog_knows_some_of_their_tables(rng: random.Random) -> None:
    body = a_body(rng, 40, 0.05)
    parsed = assert_agreement(body)
    schemas = {}
    for table in parsed.tables:
        columns = list(table.new_columns.items())
        rng.shuffle(columns)
        schemas[table.name] = TableSchema(table.name).with_columns(dict(columns[: rng.randrange(len(columns) + 1)]))
    assert_agreement(body, schemas)
    assert_agreement(a_body(rng, 40, 0.05), schemas)


def test_a_million_lines_agree() -> None:
    """Bodies of 20,000 lines, each drawn from lines of its own: most of them good, met in any order."""
    lines = 0
    seed = 0
    while lines < 1_000_000:
        rng = random.Random(seed)
        seed += 1
        kinds: dict[str, str] = {}
        pool = [short_line(rng, kinds) for _ in range(1_000)]
        pool += [a_line(rng, kinds).encode() for _ in range(200)]
        pool += [flawed(rng, rng.choice(pool)) for _ in range(60)]
        if seed % 3:
            # Nothing in the body that could ask for the slow look at each line's UTF-8.
            pool = [line for line in pool if line.isascii()]
        body = b"\n".join(rng.choices(pool, k=20_000))
        assert_agreement(body, precision=rng.choice(list(Precision)))
        lines += body.count(b"\n") + 1


def short_line(rng: random.Random, kinds: dict[str, str]) -> bytes:
    """A line of one or two fields, of one of the types its column has."""
    table = rng.choice(["m", "cpu", "a\\ b"])
    text = f"{table},h={rng.randrange(50)}" if rng.random() < 0.7 else table
    fields = []
    for key in rng.sample(["f", "i", "s", "b", "u"], rng.choice([1, 1, 2])):
        value = {
            "f": f"{rng.uniform(-99, 99)!r}",
            "i": f"{rng.randrange(-(10**9), 10**9)}i",
            "s": f'"{rng.choice(["x", "", "a b", "é"])}"',
            "b": rng.choice(["t", "false"]),
            "u": f"{rng.getrandbits(64)}u",
        }[key]
        fields.append(f"{key}={value}")
    return f"{text} {','.join(fields)} {rng.randrange(10**10)}".encode()
