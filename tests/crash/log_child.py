"""A process that writes to a log as fast as it can and says what it did, until it is killed.

``python -m tests.crash.log_child DIRECTORY FIRST_ROW SEED``. Prints one line per event, each with one
``write`` call, so that a kill leaves whole lines: ``sent ROW ROWS HASTY``, ``acked ROW SEQUENCE``,
``trim SEQUENCE`` (before it trims, through a frame that was committed).
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from headrace.wal.entry import CatalogChange, Frame, Rows
from headrace.wal.writer import Wal, WalSettings

SETTINGS = WalSettings(segment_bytes=48 << 10, tail_bytes=1 << 20, group_count=16)
THREADS = 4


def rows(first: int, count: int) -> Rows:
    numbers = pa.array(range(first, first + count), pa.int64())
    return Rows(first % 3, pa.record_batch({"row": numbers, "text": pa.array(["x" * (first % 40)] * count)}))


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Child:
    def __init__(self, directory: Path, first: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.next = first
        self.lock = threading.Lock()
        self.committed = 0
        self.wal = Wal.open(directory, SETTINGS, on_commit=self.on_commit)

    def on_commit(self, frames: Sequence[Frame]) -> None:
        self.committed = frames[-1].sequence

    def write(self) -> None:
        while True:
            with self.lock:
                count = self.random.choice([1, 1, 2, 10, 100, 6000])
                hasty = self.random.random() < 0.2
                pipelined = self.random.choice([1, 1, 1, 5])
                writes = [(self.next + count * index, count) for index in range(pipelined)]
                self.next += count * pipelined
            futures = []
            for first, size in writes:
                say("sent", first, size, int(hasty))
                futures.append(self.wal.submit([CatalogChange({"first": first}), rows(first, size)], sync=not hasty))
            for (first, _), future in zip(writes, futures, strict=True):
                say("acked", first, future.result())

    def trim(self) -> None:
        while True:
            threading.Event().wait(self.random.uniform(0.005, 0.05))
            if self.committed:
                say("trim", through := self.committed)
                self.wal.trim(through)


def main() -> None:
    child = Child(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    threads = [threading.Thread(target=child.write) for _ in range(THREADS)] + [threading.Thread(target=child.trim)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
