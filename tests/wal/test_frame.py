from __future__ import annotations

from collections.abc import Sequence

import google_crc32c
import pyarrow as pa
import pytest
from headrace.wal.entry import CatalogChange, CursorMove, Entry, Rows
from headrace.wal.errors import FrameTooLarge, WalDamaged, WalVersion
from headrace.wal.frame import (
    ALIGNMENT,
    HEADER_SIZE,
    MAX_ENTRIES,
    FrameHeader,
    Payload,
    decode_entries,
    encode_header,
    encode_payload,
    find_header,
    join_payloads,
    payload_is_intact,
    read_header,
)
from headrace.wal.schema import TAG_TYPE, TIME_TYPE
from hypothesis import given
from hypothesis import strategies as st

from tests.wal.samples import batch, flip, rows

SALT = 0x5EED


def framed(payload: Payload, sequence: int = 7) -> bytes:
    return encode_header(payload, sequence=sequence, synced=sequence - 1, salt=SALT) + b"".join(payload.pieces)


def decoded(data: bytes, table_ids: set[int] | None = None) -> tuple[Entry, ...]:
    segment = pa.py_buffer(data)
    view = memoryview(segment)
    header = read_header(view, 0)
    assert header is not None
    assert payload_is_intact(segment, header)
    assert header.end == len(data)
    return decode_entries(segment, view, header, table_ids)


def raw(payload: bytes, entries: int) -> bytes:
    return framed(Payload((payload,), len(payload), google_crc32c.value(payload), entries))


def entry(kind: int, size: int, number: int, body: bytes) -> bytes:
    return bytes([kind, 0, 0, 0]) + size.to_bytes(4, "little") + number.to_bytes(8, "little") + body


U64 = st.integers(0, 2**64 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)
COLUMNS = {
    "time": (TIME_TYPE, I64),
    "host": (TAG_TYPE, st.none() | TEXT),
    "f": (pa.float64(), st.none() | st.floats(allow_nan=False)),
    "i": (pa.int64(), st.none() | I64),
    "u": (pa.uint64(), st.none() | U64),
    "b": (pa.bool_(), st.none() | st.booleans()),
    "s": (pa.utf8(), st.none() | TEXT),
}


@st.composite
def batches(draw: st.DrawFn) -> pa.RecordBatch:
    names = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, unique=True))
    length = draw(st.integers(0, 5))
    columns = []
    for name in names:
        kind, values = COLUMNS[name]
        column = draw(st.lists(values, min_size=length, max_size=length))
        plain = kind.value_type if isinstance(kind, pa.DictionaryType) else kind
        array = pa.array(column, plain)
        columns.append(array.dictionary_encode() if isinstance(kind, pa.DictionaryType) else array)
    return pa.RecordBatch.from_arrays(columns, names)


ENTRIES = st.lists(
    st.builds(Rows, U64, batches())
    | st.builds(CatalogChange, st.dictionaries(TEXT, JSON, max_size=4))
    | st.builds(CursorMove, U64, U64),
    max_size=6,
)


@given(ENTRIES)
def test_entries_come_back_as_they_went_in(entries: list[Entry]) -> None:
    assert list(decoded(framed(encode_payload(entries)))) == entries


@given(ENTRIES, ENTRIES)
def test_joined_payloads_hold_the_entries_of_both(one: list[Entry], other: list[Entry]) -> None:
    joined = join_payloads(encode_payload(one), encode_payload(other))
    assert list(decoded(framed(joined))) == one + other


@given(ENTRIES)
def test_a_frame_takes_a_multiple_of_eight_bytes(entries: list[Entry]) -> None:
    payload = encode_payload(entries)
    assert len(framed(payload)) == payload.frame_size
    assert payload.frame_size % ALIGNMENT == 0


def test_a_large_payload_is_not_joined_into_one_piece() -> None:
    big = rows(*range(20_000))
    payload = encode_payload([CursorMove(1, 1), big, big])
    assert max(map(len, payload.pieces)) < payload.length / 2 + 1000
    assert list(decoded(framed(payload))) == [CursorMove(1, 1), big, big]


def test_a_header_says_what_was_framed() -> None:
    payload = encode_payload([CursorMove(1, 2), CursorMove(3, 4)])
    data = encode_header(payload, sequence=2**63, synced=2**63 - 5, salt=2**32 - 1) + b"".join(payload.pieces)
    assert read_header(memoryview(bytes(8) + data), 8) == FrameHeader(
        offset=8, entries=2, sequence=2**63, synced=2**63 - 5, length=payload.length, crc=payload.crc, salt=2**32 - 1
    )


def test_every_flipped_bit_of_a_header_is_noticed() -> None:
    data = framed(encode_payload([rows(1)]))
    for bit in range(8 * HEADER_SIZE):
        assert read_header(memoryview(flip(data, bit // 8, bit % 8)), 0) is None


def test_every_flipped_bit_of_a_payload_is_noticed() -> None:
    data = framed(encode_payload([rows(1), CatalogChange({"a": 1})]))
    header = read_header(memoryview(data), 0)
    assert header is not None
    for bit in range(8 * HEADER_SIZE, 8 * len(data)):
        assert not payload_is_intact(pa.py_buffer(flip(data, bit // 8, bit % 8)), header)


def test_a_header_whose_payload_leaves_the_segment_is_none() -> None:
    data = framed(encode_payload([rows(1)]))
    assert all(read_header(memoryview(data[:size]), 0) is None for size in range(len(data)))


def future_version(data: bytes) -> bytes:
    head = data[:4] + b"\2" + data[5 : HEADER_SIZE - 4]
    crc: int = google_crc32c.value(head)
    return head + crc.to_bytes(4, "little") + data[HEADER_SIZE:]


def test_a_frame_of_a_newer_format_is_refused_by_its_version() -> None:
    data = future_version(framed(encode_payload([rows(1)])))
    with pytest.raises(WalVersion, match="version 2 at offset 0: this release reads 1"):
        read_header(memoryview(data), 0)


def test_a_search_passes_over_frames_of_a_newer_format() -> None:
    known = framed(encode_payload([rows(1)]))
    found = list(find_header(memoryview(future_version(known) + known), 0))
    assert [header.offset for header in found] == [len(known)]


def test_an_entry_of_an_unknown_kind_says_that_a_newer_release_wrote_it() -> None:
    with pytest.raises(WalVersion, match="frame 7: entry of unknown kind 9; a newer release wrote it"):
        decoded(raw(entry(9, 0, 0, b""), 1))


@pytest.mark.parametrize(
    ("payload", "entries", "message"),
    [
        (bytes(8), 1, "frame 7: entry header leaves the payload"),
        (entry(3, 16, 1, bytes(8)), 1, "frame 7: entry body leaves the payload"),
        (entry(3, 8, 1, bytes(8)) + bytes(8), 1, "frame 7: 8 bytes after its last entry"),
        (entry(2, 5, 0, b"{nope" + bytes(3)), 1, "catalog change that is not JSON"),
        (entry(2, 2, 0, b"[]" + bytes(6)), 1, "catalog change that is not a JSON object"),
        (entry(1, 8, 5, b"no arrow"), 1, "rows that are not an Arrow IPC stream"),
    ],
)
def test_a_payload_without_the_format_is_damage(payload: bytes, entries: int, message: str) -> None:
    with pytest.raises(WalDamaged, match=message):
        decoded(raw(payload, entries))


def test_rows_of_other_tables_are_left_out_on_demand() -> None:
    data = framed(encode_payload([rows(1, table_id=1), CursorMove(9, 9), rows(2, table_id=2), rows(3, table_id=1)]))
    assert decoded(data, {1}) == (rows(1, table_id=1), CursorMove(9, 9), rows(3, table_id=1))
    assert decoded(data, set()) == (CursorMove(9, 9),)


def test_too_many_entries_are_refused() -> None:
    with pytest.raises(FrameTooLarge, match="65536 entries in one write; a frame of the log takes at most 65535"):
        encode_payload([CursorMove(1, 1)] * (MAX_ENTRIES + 1))
    assert len(decoded(framed(encode_payload([CursorMove(1, 1)] * MAX_ENTRIES)))) == MAX_ENTRIES


def test_decoded_columns_are_views_of_the_segment() -> None:
    segment = pa.py_buffer(framed(encode_payload([rows(*range(1000))])))
    view = memoryview(segment)
    header = read_header(view, 0)
    assert header is not None
    (decoded_rows,) = decode_entries(segment, view, header)
    assert isinstance(decoded_rows, Rows)
    data = decoded_rows.batch.column("value").buffers()[1]
    assert segment.address <= data.address < segment.address + segment.size
    assert data.address % ALIGNMENT == segment.address % ALIGNMENT


def test_a_dictionary_much_longer_than_the_batch_is_shortened() -> None:
    names = [f"host{index}" for index in range(10_000)]
    column = pa.DictionaryArray.from_arrays(pa.array([9_999, None, 3, 9_999], pa.int32()), pa.array(names))
    wide = pa.RecordBatch.from_arrays([column], ["host"])
    payload = encode_payload([Rows(1, wide)])
    assert payload.length < 2_000
    (entry_back,) = decoded(framed(payload))
    assert isinstance(entry_back, Rows)
    assert entry_back.batch.column(0).to_pylist() == ["host9999", None, "host3", "host9999"]
    assert entry_back.batch.schema == wide.schema


def test_a_sliced_batch_takes_the_room_of_its_slice() -> None:
    whole = batch(*range(50_000))
    payload = encode_payload([Rows(1, whole.slice(100, 3))])
    assert payload.length < 2_000
    assert decoded(framed(payload)) == (rows(100, 101, 102),)


def test_a_search_finds_every_frame_and_trusts_nothing_between_them() -> None:
    junk = b"HRWL" * 13 + bytes(12)
    frames = [framed(encode_payload([rows(number)]), number) for number in (1, 2, 3)]
    data = bytes(8) + frames[0] + junk + frames[1] + frames[2] + bytes(100)
    found = list(find_header(memoryview(data), 0))
    assert [header.sequence for header in found] == [1, 2, 3]


def test_a_search_never_looks_inside_a_payload() -> None:
    inner = framed(encode_payload([CursorMove(1, 1)]), 99)
    outer = framed(encode_payload([CatalogChange({}), Rows(1, pa.record_batch({"s": pa.array([inner], pa.binary())}))]))
    found = list(find_header(memoryview(outer), 0))
    assert [header.sequence for header in found] == [7]


def test_a_search_finds_frames_across_its_windows() -> None:
    window = 1 << 20
    frame = framed(encode_payload([CursorMove(1, 1)]))
    for at in range(window - HEADER_SIZE, window + 2 * ALIGNMENT, ALIGNMENT):
        data = bytes(at) + frame + bytes(window)
        assert [header.offset for header in find_header(memoryview(data), 0)] == [at], at


def test_a_search_in_an_empty_segment_finds_nothing() -> None:
    empties: Sequence[bytes] = (b"", bytes(HEADER_SIZE - 1), bytes(1000))
    assert all(list(find_header(memoryview(data), 0)) == [] for data in empties)
