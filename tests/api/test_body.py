from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from headrace.api import body as body_module
from headrace.api.body import BodyReader, ByteBudget, inflate
from headrace.api.errors import (
    ClientGone,
    InvalidGzip,
    ReadTimedOut,
    RequestTooLarge,
    TooBusy,
    UnacceptableEncoding,
)
from hypothesis import given
from hypothesis import strategies as st

LIMIT = 1 << 16
Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    async def bounded() -> Result:
        return await asyncio.wait_for(work, 20)

    return asyncio.run(bounded())


def sender(chunks: Iterable[bytes], *, ends: str = "end") -> Callable[[], Awaitable[dict[str, Any]]]:
    """ASGI's ``receive`` of a client that sends ``chunks`` and then ends, stalls or disconnects."""
    pending = list(chunks)

    async def receive() -> dict[str, Any]:
        if pending:
            chunk = pending.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(pending) or ends != "end"}
        if ends == "stall":
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    return receive


def read(
    chunks: Iterable[bytes],
    headers: Iterable[tuple[bytes, bytes]] = (),
    *,
    ends: str = "end",
    limit: int = LIMIT,
    timeout: float = 10.0,
) -> tuple[bytes, int]:
    """The body, and how much of the budget was in use when everything was over."""

    async def work() -> tuple[bytes, int]:
        budget = ByteBudget(4 * limit)
        with ThreadPoolExecutor(1) as pool:
            reader = BodyReader(limit, budget, timeout, pool)
            try:
                with await reader.read(headers, sender(chunks, ends=ends)) as body:
                    data = body.data
                    assert budget.used >= len(data)
            finally:
                assert budget.used == 0
        return data, budget.used

    return run(work())


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_the_pieces_of_a_body_are_joined(chunks: list[bytes]) -> None:
    assert read(chunks)[0] == b"".join(chunks)


def test_a_body_of_exactly_the_limit_is_read_and_one_more_byte_is_too_much() -> None:
    assert len(read([b"x" * LIMIT])[0]) == LIMIT
    with pytest.raises(RequestTooLarge, match=rf"max request size \({LIMIT} bytes\) exceeded"):
        read([b"x" * LIMIT, b"x"])


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    with pytest.raises(RequestTooLarge):
        read([b"x"], [(b"content-length", b"%d" % (LIMIT + 1))])


def test_a_client_that_sends_nothing_more_runs_into_the_timeout() -> None:
    with pytest.raises(ReadTimedOut):
        read([b"x"], ends="stall", timeout=0.05)


def test_a_client_that_goes_away_is_gone() -> None:
    with pytest.raises(ClientGone):
        read([b"x"], ends="disconnect")


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=4))
def test_gzip_of_several_members_is_inflated(members: list[bytes]) -> None:
    packed = b"".join(gzip.compress(member, 1) for member in members)
    assert read([packed], [(b"content-encoding", b"gzip")])[0] == b"".join(members)


def test_a_large_gzip_body_is_inflated_on_a_thread() -> None:
    data = bytes(range(256)) * 200
    packed = gzip.compress(data, 0)
    assert read([packed], [(b"content-encoding", b"gzip")])[0] == data


def test_zeros_behind_the_last_member_are_padding() -> None:
    assert inflate(gzip.compress(b"data") + b"\0" * 512, LIMIT) == b"data"


def test_a_gzip_bomb_is_refused_before_it_is_inflated() -> None:
    bomb = zlib.compressobj(9, wbits=31)
    packed = b"".join(bomb.compress(b"\0" * (1 << 20)) for _ in range(512)) + bomb.flush()
    assert len(packed) < 600_000  # 512 MiB
    with pytest.raises(RequestTooLarge):
        inflate(packed, LIMIT)
    with pytest.raises(RequestTooLarge):
        read([packed], [(b"content-encoding", b"gzip")], limit=1 << 20)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"not gzip at all",
        gzip.compress(b"data" * 100, mtime=0)[:-9],
        gzip.compress(b"data" * 100, mtime=0)[:-1],
        gzip.compress(b"data" * 100, mtime=0)[:20] + b"\xff" + gzip.compress(b"data" * 100, mtime=0)[21:],
        gzip.compress(b"data", mtime=0) + b"trailing",
    ],
)
def test_damaged_gzip_is_refused(damaged: bytes) -> None:
    with pytest.raises(InvalidGzip, match="error decoding gzip stream"):
        inflate(damaged, LIMIT)


def test_only_gzip_is_inflated() -> None:
    assert read([b"x"], [(b"content-encoding", b"identity")])[0] == b"x"
    with pytest.raises(UnacceptableEncoding, match="unacceptable content-encoding: deflate"):
        read([b"x"], [(b"content-encoding", b"deflate")])


# The budget


def test_who_comes_first_is_served_first() -> None:
    async def work() -> list[str]:
        budget, order = ByteBudget(100), []
        await budget.take(80)

        async def ask(name: str, size: int) -> None:
            await budget.take(size)
            order.append(name)

        large, small = asyncio.create_task(ask("large", 60)), asyncio.create_task(ask("small", 10))
        await asyncio.sleep(0)
        assert order == []  # the small one would fit, but does not overtake
        budget.give(80)
        await asyncio.gather(large, small)
        assert budget.used == 70
        return order

    assert run(work()) == ["large", "small"]


def test_who_waits_too_long_is_refused_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "_BUDGET_WAIT", 0.05)

    async def work() -> None:
        budget = ByteBudget(100)
        await budget.take(80)
        with pytest.raises(TooBusy, match="retry later"):
            await budget.take(60)
        await budget.take(20)
        budget.give(100)
        assert budget.used == 0

    run(work())


def test_a_request_that_is_cancelled_while_it_waits_lets_the_next_one_in() -> None:
    async def work() -> None:
        budget = ByteBudget(100)
        await budget.take(80)
        first, second = asyncio.create_task(budget.take(60)), asyncio.create_task(budget.take(20))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert budget.used == 100
        with pytest.raises(asyncio.CancelledError):
            await first

    run(work())


def test_a_turn_that_comes_together_with_the_cancellation_is_given_back() -> None:
    async def work() -> None:
        budget = ByteBudget(100)
        await budget.take(80)
        waiting = asyncio.create_task(budget.take(60))
        await asyncio.sleep(0)
        budget.give(80)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert budget.used == 0

    run(work())


@given(st.lists(st.integers(1, 100), min_size=1, max_size=30))
def test_the_budget_is_never_passed(sizes: list[int]) -> None:
    async def work() -> None:
        budget = ByteBudget(100)

        async def use(size: int) -> None:
            await budget.take(size)
            assert budget.used <= 100
            await asyncio.sleep(0)
            budget.give(size)

        await asyncio.gather(*(use(size) for size in sizes))
        assert budget.used == 0

    run(work())
