from __future__ import annotations

import asyncio

from headrace.query.errors import MemoryExhausted
from headrace.query.memory_watch import MemoryWatch, private_bytes
from headrace.wal.errors import HeadraceError

_MIB = 1 << 20


class _Query:
    def __init__(self) -> None:
        self.growth = 0.0
        self.stopped: HeadraceError | None = None

    def stop(self, error: HeadraceError) -> None:
        self.stopped = error


class _Memory:
    """What the process takes: one figure a look, the last one for ever."""

    def __init__(self, *mebibytes: int) -> None:
        self.left = list(mebibytes)
        self.looks = 0

    def __call__(self) -> int:
        self.looks += 1
        return (self.left.pop(0) if len(self.left) > 1 else self.left[0]) * _MIB


async def _looks(memory: _Memory, count: int) -> None:
    async with asyncio.timeout(10):
        while memory.looks < count:
            await asyncio.sleep(0.005)


def test_the_query_that_was_open_while_memory_grew_is_stopped() -> None:
    async def run() -> None:
        memory = _Memory(100, 600, 700, 900, 1_100, 1_100, 1_000)
        watch = MemoryWatch(1_000 * _MIB, memory)
        old, young = _Query(), _Query()
        watch.add(old)
        await _looks(memory, 3)
        watch.add(young)
        await _looks(memory, 7)
        assert young.stopped is None
        assert isinstance(old.stopped, MemoryExhausted)
        assert old.stopped.status == 503
        assert "1000 MiB" in str(old.stopped)

    asyncio.run(run())


def test_more_queries_are_stopped_as_long_as_memory_grows() -> None:
    async def run() -> None:
        memory = _Memory(100, 1_100, 1_200, 1_300)
        watch = MemoryWatch(1_000 * _MIB, memory)
        queries = [_Query() for _ in range(3)]
        for query in queries:
            watch.add(query)
        await _looks(memory, 4)
        assert all(query.stopped for query in queries)

    asyncio.run(run())


def test_who_did_not_grow_is_not_stopped() -> None:
    async def run() -> None:
        memory = _Memory(2_000, 2_001, 2_000)  # of the buffer of written rows, say
        watch = MemoryWatch(1_000 * _MIB, memory)
        query = _Query()
        watch.add(query)
        await _looks(memory, 5)
        assert query.stopped is None

    asyncio.run(run())


def test_memory_that_earlier_queries_left_behind_is_no_reason_to_stop_new_ones() -> None:
    async def run() -> None:
        for figures, stopped in (((950, 1_050), False), ((950, 1_080), True), ((1_200, 1_260), True)):
            memory = _Memory(*figures)
            watch = MemoryWatch(1_000 * _MIB, memory)
            query = _Query()
            watch.add(query)
            await _looks(memory, 2)
            assert (query.stopped is not None) == stopped

    asyncio.run(run())


def test_nobody_looks_while_no_query_runs() -> None:
    async def run() -> None:
        memory = _Memory(1)
        watch = MemoryWatch(1_000 * _MIB, memory)
        query = _Query()
        watch.add(query)
        await _looks(memory, 1)
        watch.discard(query)
        await asyncio.sleep(0.12)
        seen = memory.looks
        await asyncio.sleep(0.12)
        assert memory.looks == seen
        watch.add(query)
        await _looks(memory, seen + 1)

    asyncio.run(run())


def test_memory_that_is_taken_shows() -> None:
    before = private_bytes()
    assert before is not None
    taken = bytearray(b"x") * (64 * _MIB)
    after = private_bytes()
    assert after is not None
    assert after - before > 48 * _MIB
    del taken
