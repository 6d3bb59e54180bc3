"""The one thread that writes: groups of frames into the log, one sync a group, in order.

It takes everything that waits (up to a bound), gives out sequences, writes all frames with one vectored
write, syncs once, calls ``on_commit``, publishes the frames to readers, and resolves the futures, in
that order.

When a write fails (disk full, short write) the segment is cut back to its last whole frame, the
frames that did not make it fail, and the log goes on; their catalog changes travel in the next
frame, since the catalog in memory has them already. When a sync fails nothing can be known about
what is on disk: the log stops for good, until a restart reads back what there is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from headrace.wal.commit_queue import CommitQueue, Submission
from headrace.wal.entry import CatalogChange, Frame
from headrace.wal.errors import FrameTooLarge, WalFailed
from headrace.wal.frame import MAX_ENTRIES, Payload, encode_payload, join_payloads
from headrace.wal.log_files import LogFiles
from headrace.wal.tail import Tail

logger = logging.getLogger(__name__)


class _Settings(Protocol):
    @property
    def segment_bytes(self) -> int: ...
    @property
    def group_bytes(self) -> int: ...
    @property
    def group_count(self) -> int: ...


class Committer:
    """Runs from ``start`` until ``queue`` refuses and is drained; ``join`` waits for that."""

    def __init__(
        self,
        files: LogFiles,
        queue: CommitQueue,
        tail: Tail,
        settings: _Settings,
        on_commit: Callable[[Sequence[Frame]], None],
    ) -> None:
        self.failure: str | None = None
        """Why nothing can be written any more, or None."""
        self._files = files
        self._queue = queue
        self._tail = tail
        self._settings = settings
        self._on_commit = on_commit
        self._next = files.next_at_open
        self._carried: tuple[tuple[CatalogChange, ...], Payload] | None = None
        """Catalog changes of frames that failed: the catalog in memory has them already."""
        self._thread = threading.Thread(target=self._run, name="headrace-wal", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        while group := self._queue.take(self._settings.group_bytes, self._settings.group_count):
            size = sum(item.payload.frame_size for item in group)
            count = len(group)
            try:
                while group and self.failure is None:
                    group = self._commit(group)
            except BaseException as error:  # a bug, in on_commit most likely: never go on half-way
                logger.exception("the write-ahead log's writer thread failed")
                self._stop(f"the write-ahead log stopped: {error!r}")
            for item in group:
                if not item.future.done():
                    item.future.set_exception(WalFailed(self.failure or "the write-ahead log stopped"))
            self._queue.release(count, size)
        self._flush_carried()

    def _flush_carried(self) -> None:
        if self._carried is not None and self.failure is None:
            item = Submission(encode_payload(()), (), True)
            try:
                self._commit([item])
            except BaseException:
                logger.exception("writing the catalog changes carried over from failed frames")
            if self._carried is not None:
                logger.error("%d catalog changes were not written before the log closed", len(self._carried[0]))

    def _commit(self, group: list[Submission]) -> list[Submission]:
        """Write, sync and publish as much of ``group`` as fits the active segment; returns the rest."""
        group = self._with_carried(group)
        try:
            batch, rest = self._fit(group)
        except OSError as error:
            message = f"a new segment of the write-ahead log cannot be created: {error}"
            if self._files.holds(self._next):
                # Were frames to go on in the old segment, the empty one would claim that they are missing from it.
                self._stop(message)
            self._fail(group, message)
            return []
        written, error_text = self._files.active.write([item.payload for item in batch], self._next, self._next - 1)
        done, failed = batch[:written], batch[written:]
        if error_text is not None and self._files.active.broken:
            self._stop(f"the write-ahead log cannot be cut back after a failed write: {error_text}")
            self._fail(group, self.failure or error_text)
            return []
        frames = [Frame(self._next + index, item.entries, item.payload.frame_size) for index, item in enumerate(done)]
        for item, frame in zip(done, frames, strict=True):
            if not item.sync:
                item.future.set_result(frame.sequence)
        if failed:
            self._fail(failed, f"the write-ahead log cannot be written: {error_text}")
        if frames:
            self._publish(done, frames)
        return rest if self.failure is None else self._fail(rest, self.failure)

    def _publish(self, done: list[Submission], frames: list[Frame]) -> None:
        try:
            self._files.active.sync()
        except OSError as error:
            # After a failed fdatasync the kernel may have dropped the pages: no retry can be trusted.
            self._stop(f"the write-ahead log cannot be synced: {error}; restart to go on with what is on disk")
            self._fail([item for item in done if item.sync], self.failure or "")
            return
        self._next = frames[-1].sequence + 1
        self._on_commit(frames)
        self._tail.append(frames)
        for item, frame in zip(done, frames, strict=True):
            if item.sync:
                item.future.set_result(frame.sequence)

    def _fit(self, group: list[Submission]) -> tuple[list[Submission], list[Submission]]:
        """The part of ``group`` that goes into the active segment, which is replaced if nothing fits."""
        if (
            self._files.active.end
            and self._files.active.end + group[0].payload.frame_size > self._settings.segment_bytes
        ):
            self._files.rotate(self._next)
        room = self._settings.segment_bytes - self._files.active.end
        for index, item in enumerate(group):
            room -= item.payload.frame_size
            if room < 0 and index:
                return group[:index], group[index:]
        return group, []

    def _with_carried(self, group: list[Submission]) -> list[Submission]:
        """Put catalog changes of frames that failed in front of the first frame."""
        if self._carried is None:
            return group
        (changes, payload), self._carried = self._carried, None
        first = group[0]
        try:
            joined = join_payloads(payload, first.payload)
        except FrameTooLarge:
            joined = None
        if joined is None or joined.entries > MAX_ENTRIES:
            return [Submission(payload, changes, True), *group]
        return [Submission(joined, (*changes, *first.entries), first.sync, first.future), *group[1:]]

    def _fail(self, items: list[Submission], message: str) -> list[Submission]:
        changes = tuple(entry for item in items for entry in item.entries if isinstance(entry, CatalogChange))
        if self._carried is not None:
            changes = (*self._carried[0], *changes)
        if changes:
            self._carried = (changes, encode_payload(changes))
        for item in items:
            if not item.future.done():
                item.future.set_exception(WalFailed(message))
        if items:
            logger.error("%s (%d writes refused)", message, len(items))
        return []

    def _stop(self, message: str) -> None:
        self.failure = self.failure or message
        failure = self.failure
        self._queue.refuse(lambda: WalFailed(failure))
