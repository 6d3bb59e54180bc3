from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from headrace.processing.protocol import MAGIC, Channel, Kind, PeerGone, ProtocolViolation
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_a_message_arrives_as_it_was_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = (Channel(end, max_payload=1 << 26) for end in pair)
    payload = os.urandom(3 << 20)
    sender = threading.Thread(target=one.send, args=(Kind.RUN, {"é": [1, None]}, [payload[:7], b"", payload[7:]]))
    sender.start()
    message = other.receive(deadline=time.monotonic() + 30)
    sender.join()
    assert (message.kind, message.header, bytes(message.payload)) == (Kind.RUN, {"é": [1, None]}, payload)


def test_more_parts_than_the_kernel_takes_in_one_call_arrive(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = (Channel(end, max_payload=1 << 26) for end in pair)
    parts = [bytes([index % 256]) * 100 for index in range(3_000)]
    sender = threading.Thread(target=one.send, args=(Kind.DONE, {}, parts))
    sender.start()
    assert bytes(other.receive(deadline=time.monotonic() + 30).payload) == b"".join(parts)
    sender.join()


def test_a_deadline_ends_the_waiting(pair: tuple[socket.socket, socket.socket]) -> None:
    channel = Channel(pair[0], max_payload=1)
    with pytest.raises(TimeoutError):
        channel.receive(deadline=time.monotonic() + 0.02)


def test_a_closed_peer_is_gone(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].close()
    with pytest.raises(PeerGone):
        Channel(pair[0], max_payload=1).receive(deadline=time.monotonic() + 5)


@settings(deadline=None)
@given(st.binary(min_size=20, max_size=200))
def test_garbage_is_a_violation_or_nothing_and_never_anything_else(garbage: bytes) -> None:
    one, other = socket.socketpair()
    with one, other:
        other.sendall(garbage)
        other.shutdown(socket.SHUT_WR)
        with pytest.raises((ProtocolViolation, PeerGone)):
            Channel(one, max_payload=1 << 16).receive(deadline=time.monotonic() + 5)


def test_an_announced_length_is_checked_before_anything_is_stored(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].sendall(MAGIC + bytes([26, 0, 0, 0]) + (2).to_bytes(4, "little") + (1 << 62).to_bytes(8, "little") + b"{}")
    with pytest.raises(ProtocolViolation, match="larger than"):
        Channel(pair[0], max_payload=1 << 20).receive(deadline=time.monotonic() + 5)
