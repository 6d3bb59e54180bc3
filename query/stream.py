"""Batches from the engine, a few ahead of the reader, with a clock on the engine and a way to stop it.

The engine's stream is asynchronous underneath; only its asynchronous face can be abandoned while a batch
is being computed. One thread runs an event loop for all queries of an engine: it asks for the next batch
whenever the reader is at most ``_AHEAD`` batches behind, so a result of any size is held a few batches at
a time. Computing goes on in the engine's own threads, without the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Final

import pyarrow as pa
from datafusion import RecordBatch, RecordBatchStream
from headrace.query.errors import QueryClosed, QueryTimeout
from headrace.query.memory_watch import MemoryWatch
from headrace.wal.errors import HeadraceError

_AHEAD: Final = 4
_AT_ONCE: Final = 2


class EngineLoop:
    """The thread that waits for the engine, and watches its memory. Starts with the first stream."""

    def __init__(self, memory_limit_bytes: int) -> None:
        self.watch = MemoryWatch(memory_limit_bytes)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def running(self) -> asyncio.AbstractEventLoop:
        """Raises QueryClosed once the loop has been closed."""
        with self._lock:
            if self._closed:
                raise QueryClosed("the query engine is shut down")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="headrace-query", daemon=True)
                self._thread.start()
            return self._loop

    def close(self) -> None:
        """Cancel all streams and end the thread."""
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class BatchStream(Iterator[pa.RecordBatch]):
    """Iterates in any one thread at a time; ``close`` may come from another one.

    ``budget_s`` is the time that the engine may take in all, in seconds; the reader's own time is not
    counted. ``ended`` is called once, from the loop's thread, with what ended the stream: None after the
    last batch. It is forgotten then, and may hold what the engine needs until that moment.
    """

    def __init__(
        self,
        loop: EngineLoop,
        source: RecordBatchStream,
        schema: pa.Schema,
        budget_s: float | None,
        translate: Callable[[BaseException], HeadraceError],
        ended: Callable[[HeadraceError | None], None],
    ) -> None:
        self._queue: SimpleQueue[RecordBatch | HeadraceError | None] = SimpleQueue()
        self._schema = schema
        self._read = 0
        self._failure: HeadraceError | None = None
        self._done = False
        self._loop = loop.running()
        self._pump = _Pump(loop.watch, source, self._queue, budget_s, translate, ended)
        self._loop.call_soon_threadsafe(self._pump.start)

    def __next__(self) -> pa.RecordBatch:
        if self._done:
            if self._failure is not None:
                raise self._failure
            raise StopIteration
        item = self._queue.get()
        if isinstance(item, RecordBatch):
            self._read += 1
            if self._read % _AT_ONCE == 0:  # waking the loop costs more than a small batch
                _call(self._loop, self._pump.more)
            return conform(item.to_pyarrow(), self._schema)
        self._done = True
        self._failure = item
        if item is not None:
            raise item
        raise StopIteration

    def close(self) -> None:
        """Stop the engine. Whoever waits for a batch gets QueryClosed. Closing again does nothing."""
        _call(self._loop, self._pump.cancel)

    def __del__(self) -> None:
        if hasattr(self, "_pump"):
            self.close()


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with exactly the types of the schema, which has the same columns."""
    if batch.schema.equals(schema):
        return batch
    columns = [
        column if column.type.equals(field.type) else _cast(column, field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _cast(column: pa.Array[Any], wanted: pa.DataType) -> pa.Array[Any]:
    if pa.types.is_dictionary(wanted):
        return column.cast(wanted.value_type).dictionary_encode().cast(wanted)
    return column.cast(wanted)


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], Any]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(callback)


class _Pump:
    """The loop's side of a stream: moves batches from the engine into the queue. Does not know the reader."""

    def __init__(
        self,
        watch: MemoryWatch,
        source: RecordBatchStream,
        queue: SimpleQueue[RecordBatch | HeadraceError | None],
        budget_s: float | None,
        translate: Callable[[BaseException], HeadraceError],
        ended: Callable[[HeadraceError | None], None],
    ) -> None:
        self.growth = 0.0
        self._watch = watch
        self._source: RecordBatchStream | None = source
        self._queue = queue
        self._budget_s = budget_s
        self._translate = translate
        self._ended: Callable[[HeadraceError | None], None] | None = ended
        self._room = asyncio.Semaphore(_AHEAD)
        self._task: asyncio.Task[None] | None = None
        self._stopped: HeadraceError = QueryClosed("the query was cancelled")

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._move())
        self._watch.add(self)
        self._task.add_done_callback(self._finish)  # runs even if the task is cancelled before its first step

    def more(self) -> None:
        for _ in range(_AT_ONCE):
            self._room.release()

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def stop(self, error: HeadraceError) -> None:
        """Cancel, and tell the reader why in the place of what it has not read yet."""
        self._stopped = error
        with contextlib.suppress(Empty):
            while True:
                self._queue.get_nowait()
        self.cancel()

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._watch.discard(self)
        failure = self._failure_of(task)
        self._source = self._task = None  # the engine stops when nobody holds the stream
        ended, self._ended = self._ended, None
        assert ended is not None
        ended(failure)
        self._queue.put(failure)

    def _failure_of(self, task: asyncio.Task[None]) -> HeadraceError | None:
        try:
            task.result()
        except BaseException as error:
            try:
                if isinstance(error, asyncio.CancelledError):
                    return self._stopped
                if isinstance(error, TimeoutError):
                    return QueryTimeout("the query took longer than its time limit and was stopped")
                return self._translate(error)
            finally:
                # Its frames hold the stream, and in a circle: the engine would go on until that is collected.
                error.__traceback__ = error.__cause__ = error.__context__ = None
        return None

    async def _move(self) -> None:
        assert self._source is not None
        clock = asyncio.get_running_loop().time
        left = self._budget_s
        while True:
            await self._room.acquire()
            began = clock()
            try:
                async with asyncio.timeout(left):
                    batch = await self._source.__anext__()
            except StopAsyncIteration:
                return
            if left is not None:
                left = max(0.0, left - (clock() - began))
            self._queue.put(batch)
