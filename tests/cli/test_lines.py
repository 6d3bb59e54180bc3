"""Line protocol is cut where lines end, and nowhere else."""

import io
import time

import pytest
from headrace.api.cli.lines import chunks, whole_lines
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.wal.line_protocol_oracle import line_end

SIMPLE = b"cpu,host=a usage=1 1\n"
QUOTED = b'log,host=a text="one\ntwo, \\"three\\"\nfour" 1\n'

KEYS = st.text(alphabet='ab"#=, \\', min_size=1, max_size=6)
VALUES = st.text(alphabet='ab \n"\\=,#é', max_size=12)


def escaped(text: str) -> str:
    return "".join("\\" + letter if letter in ",= " else letter for letter in text.replace("\\", ""))


@st.composite
def lines(draw: st.DrawFn) -> str:
    """One line: a comment, or a point whose values may hold quotes, line breaks and backslashes."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return "# it is " + draw(st.text(alphabet='ab"=', max_size=5))
    if kind == 1:
        return ""
    measurement = "m" + escaped(draw(KEYS))
    tags = "".join(f",t{escaped(draw(KEYS))}=v{escaped(draw(KEYS))}" for _ in range(draw(st.integers(0, 2))))
    fields = []
    for number in range(draw(st.integers(1, 3))):
        text = draw(VALUES).replace("\\", "\\\\").replace('"', '\\"')
        fields.append(f"f{number}" + (f'="{text}"' if draw(st.booleans()) else "=1.5"))
    return f"{measurement}{tags} {','.join(fields)} {draw(st.integers(0, 9))}"


@given(st.lists(lines(), max_size=12), st.integers(1, 200), st.booleans())
def test_pieces_are_the_input_and_end_where_lines_end(written, limit, with_last_newline):
    data = "\n".join(written).encode() + (b"\n" if with_last_newline and written else b"")
    pieces = list(chunks(io.BytesIO(data), limit))
    assert b"".join(pieces) == data
    ends = set()
    position = 0
    for line in written:
        position += len(line.encode()) + 1
        ends.add(position)
    ends.add(len(data))
    position = 0
    for piece in pieces:
        position += len(piece)
        assert position in ends


@pytest.mark.parametrize("block", [SIMPLE, QUOTED, SIMPLE + QUOTED, QUOTED * 3, b'# a " comment\n' + QUOTED])
def test_whole_lines_takes_all_lines_that_are_whole(block):
    assert whole_lines(block) == len(block)
    for cut in range(len(block)):
        whole = whole_lines(block[:cut])
        assert whole <= cut
        assert block[:whole].count(QUOTED) == block[:whole].count(b"four")


def test_quotes_in_tags_open_no_string():
    block = b'm,tag="x f=1 1\nm f=2 2\n'
    assert whole_lines(block) == len(block)


def test_pieces_stay_within_the_limit_where_lines_allow():
    data = SIMPLE * 1000
    pieces = list(chunks(io.BytesIO(data), 500))
    assert max(map(len, pieces)) <= 500
    assert min(map(len, pieces[:-1])) > 500 - len(SIMPLE)


def test_a_line_longer_than_the_limit_is_a_piece_of_its_own():
    long = b'm f="' + b"x\n" * 100 + b'" 1\n'
    assert list(chunks(io.BytesIO(SIMPLE + long + SIMPLE), 100)) == [SIMPLE, long, SIMPLE]


def test_a_quote_that_is_never_closed_is_not_collected_for_ever():
    data = b'm f="open\n' + SIMPLE * 2_000_000
    pieces = chunks(io.BytesIO(data), 1 << 20)
    largest = max(len(piece) for piece in pieces)
    assert largest <= 1 << 20


def test_an_empty_input_has_no_pieces():
    assert list(chunks(io.BytesIO(b""), 10)) == []


def test_cutting_is_linear_in_the_input():
    def seconds(count: int) -> float:
        data = b'm,t="= f="' + b'\\"' * count + b"\n" * count
        begin = time.process_time()
        whole_lines(data)
        return time.process_time() - begin

    assert seconds(400_000) < 1.0


@given(st.text(alphabet='m ,="\\\n#f1', max_size=40))
def test_lines_with_one_equals_sign_a_field_end_where_the_parser_sees_their_end(text):
    assume(all(field.count("=") <= 1 for field in text.split(",")))
    data = text.encode()
    whole = whole_lines(data)
    at = 0
    while at < whole:  # walk the lines as the parser does
        at = len(data) - len(data[at:].lstrip(b" \t\n"))
        if at < whole:
            is_comment = data[at : at + 1] == b"#"
            at = (data.index(b"\n", at) if is_comment else line_end(data, at)) + 1
            assert at <= whole


def test_a_newline_behind_a_backslash_belongs_to_the_line():
    assert whole_lines(b"m,t=a\\\nb f=1\nm f=") == len(b"m,t=a\\\nb f=1\n")
