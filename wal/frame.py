"""The frame format: this module alone defines, writes and reads it (``docs/internals/wal.md`` explains it).

All integers are little-endian; every part starts at a multiple of 8 bytes, so that Arrow buffers
can be used where they lie in the mapped file.

Frame header, 40 bytes::

    offset size
    0      4    magic, b"HRWL"
    4      1    version of the format, 1
    5      1    flags, 0
    6      2    number of entries
    8      8    sequence of this frame; consecutive frames count up by one
    16     8    synced: every frame up to this sequence was on disk before this frame was written
    24     4    payload length in bytes, a multiple of 8
    28     4    CRC-32C of the payload
    32     4    salt: a random number all frames of one segment share
    36     4    CRC-32C of the 36 bytes before

The payload is the entries one after the other, each with a 16-byte header::

    0      1    kind: 1 rows, 2 catalog change, 3 cursor move
    1      3    zero
    4      4    body length in bytes, without the padding
    8      8    table id (rows), trigger id (cursor move), zero (catalog change)
    16     -    body, padded with zeros to a multiple of 8

Bodies: rows are one Arrow IPC stream (schema, dictionaries, exactly one record batch); a catalog
change is one JSON object in UTF-8; a cursor move is one 8-byte sequence, all ones for the frame's own.

``synced`` is what tells a torn tail from damage: after a power cut the frames of the last,
unsynced group may be on disk in part and in any order; but when a later frame says that the bad
one had been synced, a durable frame was damaged. ``salt`` keeps a search for the next frame from
taking user data that looks like a frame for one. Every later version keeps the magic, the version
byte, the header's length and the place of its CRC.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import google_crc32c
import orjson
import pyarrow as pa
from headrace.wal.batch_stream import Piece, decode_batch, encode_batch
from headrace.wal.entry import CatalogChange, CursorMove, Entry, Rows
from headrace.wal.errors import FrameTooLarge, WalDamaged, WalVersion

MAGIC: Final = b"HRWL"
VERSION: Final = 1
HEADER_SIZE: Final = 40
ALIGNMENT: Final = 8
MAX_ENTRIES: Final = 0xFFFF
MAX_PAYLOAD: Final = 0xFFFF_FFF8

_HEADER: Final = struct.Struct("<4sBBHQQIII")
_ENTRY: Final = struct.Struct("<B3xIQ")
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_ROWS, _CATALOG, _CURSOR = 1, 2, 3
_PADDING: Final = tuple(bytes(-n % ALIGNMENT) for n in range(ALIGNMENT))

# Below this a payload is joined into one bytes object: fewer iovecs, one CRC call.
_JOIN_BELOW: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Payload:
    """Encoded entries, ready to be framed: what a caller's thread hands to the writer thread."""

    pieces: tuple[Piece, ...]
    length: int
    crc: int
    entries: int

    @property
    def frame_size(self) -> int:
        return HEADER_SIZE + self.length


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """A header whose own CRC held. Offsets are relative to the start of the segment."""

    offset: int
    entries: int
    sequence: int
    synced: int
    length: int
    crc: int
    salt: int

    @property
    def payload_start(self) -> int:
        return self.offset + HEADER_SIZE

    @property
    def end(self) -> int:
        return self.offset + HEADER_SIZE + self.length

    @property
    def size(self) -> int:
        return HEADER_SIZE + self.length


def encode_payload(entries: Sequence[Entry]) -> Payload:
    """The bytes of ``entries``. Raises FrameTooLarge beyond 65,535 entries or 4 GiB."""
    if len(entries) > MAX_ENTRIES:
        raise FrameTooLarge(f"{len(entries)} entries in one write; a frame of the log takes at most {MAX_ENTRIES}")
    pieces: list[Piece] = []
    for entry in entries:
        if isinstance(entry, Rows):
            kind, number, body = _ROWS, entry.table_id, encode_batch(entry.batch)
        elif isinstance(entry, CatalogChange):
            kind, number, body = _CATALOG, 0, [orjson.dumps(entry.record)]
        else:
            kind, number, body = _CURSOR, entry.trigger_id, [_U64.pack(entry.sequence)]
        size = sum(map(len, body))
        if size > MAX_PAYLOAD:
            raise FrameTooLarge(f"an entry of {size} bytes; a frame of the log takes at most {MAX_PAYLOAD}")
        pieces.append(_ENTRY.pack(kind, size, number))
        pieces.extend(body)
        if size % ALIGNMENT:
            pieces.append(_PADDING[size % ALIGNMENT])
    return _payload(pieces, len(entries))


def join_payloads(first: Payload, second: Payload) -> Payload:
    """One payload with the entries of both, in that order."""
    return _payload([*first.pieces, *second.pieces], first.entries + second.entries)


def _payload(pieces: list[Piece], entries: int) -> Payload:
    length = sum(map(len, pieces))
    if length > MAX_PAYLOAD:
        raise FrameTooLarge(f"a write of {length} bytes; a frame of the log takes at most {MAX_PAYLOAD}")
    if length < _JOIN_BELOW and len(pieces) > 1:
        pieces = [b"".join(pieces)]
    crc = 0
    for piece in pieces:
        crc = google_crc32c.extend(crc, piece)
    return Payload(tuple(pieces), length, crc, entries)


def encode_header(payload: Payload, *, sequence: int, synced: int, salt: int) -> bytes:
    """The 40 bytes that go in front of ``payload``."""
    head = _HEADER.pack(MAGIC, VERSION, 0, payload.entries, sequence, synced, payload.length, payload.crc, salt)
    return head + _U32.pack(google_crc32c.value(head))


def read_header(view: memoryview, offset: int, *, searching: bool = False) -> FrameHeader | None:
    """The header at ``offset``, or None if no intact one is there or its payload would leave the segment.

    Raises WalVersion for an intact header of a version this release does not know, except while
    ``searching``: what is found in the middle of nowhere may be anything.
    """
    stop = offset + HEADER_SIZE
    head = bytes(view[offset:stop])
    if len(head) < HEADER_SIZE or head[:4] != MAGIC:
        return None
    if google_crc32c.value(head[:-4]) != _U32.unpack_from(head, HEADER_SIZE - 4)[0]:
        return None
    _, version, _, entries, sequence, synced, length, crc, salt = _HEADER.unpack_from(head)
    if version != VERSION:
        if searching:
            return None
        raise WalVersion(f"frame of format version {version} at offset {offset}: this release reads {VERSION}")
    if length % ALIGNMENT or stop + length > len(view):
        return None
    return FrameHeader(offset, entries, sequence, synced, length, crc, salt)


def payload_is_intact(segment: pa.Buffer, header: FrameHeader) -> bool:
    """Whether the payload's CRC holds. ``segment`` is the whole mapped segment."""
    return bool(google_crc32c.value(segment.slice(header.payload_start, header.length)) == header.crc)


def find_header(view: memoryview, start: int) -> Iterator[FrameHeader]:
    """Every intact header at or after ``start``, without trusting anything in between.

    Goes on behind the payload of each header found: user data inside is never searched.
    """
    offset = start + -start % ALIGNMENT
    chunk = 1 << 20
    while offset + HEADER_SIZE <= len(view):
        window = bytes(view[offset : offset + chunk + HEADER_SIZE])
        at = window.find(MAGIC)
        while at >= 0 and (at % ALIGNMENT or (found := read_header(view, offset + at, searching=True)) is None):
            at = window.find(MAGIC, at + 1)
        if at < 0 or at >= chunk:
            offset += chunk
            continue
        assert found is not None
        yield found
        offset = found.end


def decode_entries(
    segment: pa.Buffer, view: memoryview, header: FrameHeader, table_ids: Collection[int] | None = None
) -> tuple[Entry, ...]:
    """The entries of a frame whose CRCs held; record batches are views of ``segment`` and keep it alive.

    With ``table_ids``, rows of other tables are left out without being decoded. Raises WalDamaged when the
    payload does not have the format (which an intact CRC leaves to bugs only).
    """
    entries: list[Entry] = []
    at, end = header.payload_start, header.end
    for _ in range(header.entries):
        if at + _ENTRY.size > end:
            raise WalDamaged(f"frame {header.sequence}: entry header leaves the payload")
        kind, size, number = _ENTRY.unpack_from(view, at)
        at += _ENTRY.size
        if at + size > end:
            raise WalDamaged(f"frame {header.sequence}: entry body leaves the payload")
        if kind == _ROWS:
            if table_ids is None or number in table_ids:
                entries.append(Rows(number, decode_batch(segment.slice(at, size))))
        elif kind == _CATALOG:
            entries.append(CatalogChange(_decode_json(view[at : at + size])))
        elif kind == _CURSOR:
            entries.append(CursorMove(number, _U64.unpack_from(view, at)[0]))
        else:
            raise WalVersion(f"frame {header.sequence}: entry of unknown kind {kind}; a newer release wrote it")
        at += size + -size % ALIGNMENT
    if at != end:
        raise WalDamaged(f"frame {header.sequence}: {end - at} bytes after its last entry")
    return tuple(entries)


def _decode_json(body: memoryview) -> dict[str, Any]:
    try:
        record = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise WalDamaged(f"catalog change that is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise WalDamaged("catalog change that is not a JSON object")
    return record
