"""The write-ahead log: many threads submit, one thread writes, syncs and publishes.

A submission is encoded on its caller's thread and queued. The writer thread takes everything that
waits (up to a bound), gives out sequences, writes all frames with one vectored write, syncs once,
calls ``on_commit``, publishes the frames to readers, and resolves the futures, in that order.

When a write fails (disk full, short write) the segment is cut back to its last whole frame, the
frames that did not make it fail, and the log goes on; their catalog changes travel in the next
frame, since the catalog in memory has them already. When a sync fails nothing can be known about
what is on disk: the log stops for good, until a restart reads back what there is.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from headrace.wal.active import ActiveSegment
from headrace.wal.commit_queue import CommitQueue, Reservation, Submission
from headrace.wal.disk import Disk
from headrace.wal.entry import CatalogChange, Entry, Frame
from headrace.wal.errors import FrameTooLarge, WalClosed, WalDamaged, WalFailed, WalLocked, WalTrimmed
from headrace.wal.frame import MAX_ENTRIES, MAX_PAYLOAD, Payload, encode_payload, join_payloads
from headrace.wal.reader import read_segments
from headrace.wal.segment import Segment, damaged, find_end, list_segments, segment_path
from headrace.wal.tail import Tail, pick

logger = logging.getLogger(__name__)

_LOCK_FILE = "lock"


@dataclass(frozen=True, slots=True)
class WalSettings:
    """What can be chosen about a log. Sizes are in bytes, times in seconds."""

    segment_bytes: int = 64 << 20
    """A segment that would grow beyond this is closed and the next one begun (a larger frame gets its own)."""
    queue_bytes: int = 128 << 20
    """Bound on everything submitted and not yet durable."""
    queue_count: int = 8192
    """Bound on the number of submissions not yet durable."""
    submit_timeout: float = 10.0
    """How long ``submit`` waits for room in the queue before WalFull."""
    group_bytes: int = 16 << 20
    """At most this much is written before a sync, so that nobody waits for a huge group."""
    group_count: int = 1024
    """At most this many frames are written before a sync."""
    tail_bytes: int = 64 << 20
    """Newest frames kept in memory for ``read``."""
    preallocate: bool = True
    """Reserve a segment's blocks when it is created: fdatasync takes a third less time."""
    salvage: bool = False
    """Open and read past damaged frames; what was skipped is logged."""


class Wal:
    """An open write-ahead log; see ``open``. All methods may be called from any thread."""

    def __init__(
        self,
        directory: Path,
        settings: WalSettings,
        on_commit: Callable[[Sequence[Frame]], None],
        disk: Disk,
        lock: int,
        segments: list[Segment],
        active: ActiveSegment,
        next_sequence: int,
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._on_commit = on_commit
        self._disk = disk
        self._lock_descriptor = lock
        self._queue = CommitQueue(settings.queue_bytes, settings.queue_count)
        self._tail = Tail(settings.tail_bytes, next_sequence - 1)
        # Guards the list of segments against trim, rotation and readers.
        self._segments_lock = threading.Lock()
        self._segments = segments
        self._closed_bytes = {segment.first: segment.path.stat().st_size for segment in segments[:-1]}
        self._active = active
        self._next = next_sequence
        self._synced = next_sequence - 1
        self._carried: tuple[tuple[CatalogChange, ...], Payload] | None = None
        self._failure: str | None = None
        self._closed = False
        self._close_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="headrace-wal", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        directory: Path,
        settings: WalSettings | None = None,
        *,
        on_commit: Callable[[Sequence[Frame]], None],
        first_sequence: int = 1,
        disk: Disk | None = None,
    ) -> Wal:
        """Lock ``directory`` (made if absent), cut a torn tail off, and start the writer thread.

        ``on_commit`` gets frames in sequence order on the writer thread, once they are durable and
        before their futures resolve; it must be quick and must not raise. The next frame has
        ``first_sequence`` in an empty log and must not be below it otherwise.

        Raises WalLocked if another process (or another Wal) has the directory, WalDamaged if the last
        segment is damaged or ends before ``first_sequence`` although frames should be there (not with
        ``settings.salvage``), WalVersion for a newer format, WalFailed if the disk refuses.
        """
        settings, disk = settings or WalSettings(), disk or Disk()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = _lock_directory(directory)
            try:
                segments, active, following = _open_last(directory, settings, disk, first_sequence)
                return cls(directory, settings, on_commit, disk, lock, segments, active, following)
            except BaseException:
                os.close(lock)
                raise
        except OSError as error:
            raise WalFailed(f"the write-ahead log in {directory} cannot be opened: {error}") from error

    def submit(
        self,
        entries: Sequence[Entry],
        *,
        sync: bool = True,
        timeout: float | None = None,
        reservation: Reservation | None = None,
    ) -> Future[int]:
        """Queue ``entries`` as one atomic frame; the future resolves with its sequence.

        It resolves when the frame is durable and ``on_commit`` has seen it, or with ``sync=False`` as
        soon as the frame is written in its place, before it is synced. The order of sequences is the
        order in which calls return. The future cannot be cancelled; it fails with WalFailed when the
        frame could not be made durable.

        Raises WalFull if the queue has no room for ``timeout`` seconds (default: the setting), unless
        room is reserved; WalFailed after a failed sync; WalClosed; FrameTooLarge.
        """
        payload = encode_payload(entries)
        item = Submission(payload, tuple(entries), sync)
        item.future.set_running_or_notify_cancel()
        self._queue.put(item, self._settings.submit_timeout if timeout is None else timeout, reservation)
        return item.future

    def reserve(self, size: int = 1 << 16, *, timeout: float | None = None) -> Reservation:
        """Hold room for one submission of about ``size`` bytes: the next ``submit`` with it never waits.

        For callers that must submit while holding a lock of their own: reserve before taking it.
        Raises WalFull, WalFailed and WalClosed as ``submit`` does.
        """
        return self._queue.reserve(size, self._settings.submit_timeout if timeout is None else timeout)

    def read(self, after: int, *, limit_bytes: int, table_ids: Collection[int] | None = None) -> list[Frame]:
        """Committed frames with sequences above ``after``, in order: about ``limit_bytes``, at least one if any.

        With ``table_ids``, rows of other tables are left out, and frames with nothing left as well,
        except the last one looked at: the last element's sequence is how far the reading got, so that
        ``after = frames[-1].sequence`` goes on. An empty list means that ``after`` is the newest.

        Raises WalTrimmed if the frame after ``after`` was deleted; WalDamaged if it cannot be read back
        (with ``settings.salvage`` it is skipped and logged).
        """
        while True:
            recent = self._tail.after(after)
            if recent is not None:
                return pick(recent, limit_bytes, table_ids)
            last = self._tail.last
            with self._segments_lock:
                segments = list(self._segments)
                sizes = [*(self._closed_bytes[segment.first] for segment in segments[:-1]), self._active.end]
            if after + 1 < segments[0].first:
                raise WalTrimmed(
                    f"frame {after + 1} was deleted; the oldest one retained is {segments[0].first}", segments[0].first
                )
            try:
                return read_segments(
                    segments, sizes, after, last, limit_bytes, table_ids, salvage=self._settings.salvage
                )
            except FileNotFoundError:
                continue  # trimmed between the two steps: look again

    def trim(self, through: int) -> None:
        """Delete every segment but the newest whose frames are all at or below ``through``.

        Record batches read from a deleted segment stay valid: the mapping keeps the file's blocks.
        """
        with self._segments_lock:
            keep = 0
            while keep + 1 < len(self._segments) and self._segments[keep + 1].first <= through + 1:
                keep += 1
            doomed, self._segments = self._segments[:keep], self._segments[keep:]
            for segment in doomed:
                self._closed_bytes.pop(segment.first, None)
        # Oldest first: a crash in between leaves no gap.
        for segment in doomed:
            self._disk.unlink(segment.path)
        if doomed:
            self._disk.sync_directory(self._directory)

    @property
    def last_sequence(self) -> int:
        """The sequence of the newest committed frame; 0 or ``first_sequence - 1`` before the first."""
        return self._tail.last

    @property
    def first_retained_sequence(self) -> int:
        """The oldest sequence that ``read`` can still give; ``last_sequence + 1`` if there is none."""
        with self._segments_lock:
            return self._segments[0].first

    @property
    def size_bytes(self) -> int:
        """Bytes of frames in all segments, reserved space not counted."""
        with self._segments_lock:
            return sum(self._closed_bytes.values()) + self._active.end

    @property
    def failure(self) -> str | None:
        """Why the log has stopped for good, or None."""
        return self._failure

    def close(self) -> None:
        """Refuse new submissions, make everything queued durable, stop the thread, release the lock."""
        with self._close_lock:
            if self._closed:
                return
            self._closed = True
            self._queue.refuse(lambda: WalClosed("the write-ahead log is closed"))
            self._thread.join()
            try:
                self._active.close(cut=self._failure is None)
            except OSError as error:
                logger.warning("closing the write-ahead log: %s", error)
            os.close(self._lock_descriptor)

    def __enter__(self) -> Wal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # The writer thread

    def _run(self) -> None:
        while group := self._queue.take(self._settings.group_bytes, self._settings.group_count):
            size = sum(item.payload.frame_size for item in group)
            count = len(group)
            try:
                while group and self._failure is None:
                    group = self._commit(group)
            except BaseException as error:  # a bug, in on_commit most likely: never go on half-way
                logger.exception("the write-ahead log's writer thread failed")
                self._stop(f"the write-ahead log stopped: {error!r}")
            for item in group:
                if not item.future.done():
                    item.future.set_exception(WalFailed(self._failure or "the write-ahead log stopped"))
            self._queue.release(count, size)
        self._flush_carried()

    def _flush_carried(self) -> None:
        if self._carried is not None and self._failure is None:
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
            if segment_path(self._directory, self._next).exists():
                # Were frames to go on in the old segment, the empty one would claim that they are missing from it.
                self._stop(message)
            self._fail(group, message)
            return []
        written, error_text = self._active.write([item.payload for item in batch], self._next, self._synced)
        done, failed = batch[:written], batch[written:]
        if error_text is not None and self._active.broken:
            self._stop(f"the write-ahead log cannot be cut back after a failed write: {error_text}")
            self._fail(group, self._failure or error_text)
            return []
        frames = [Frame(self._next + index, item.entries, item.payload.frame_size) for index, item in enumerate(done)]
        for item, frame in zip(done, frames, strict=True):
            if not item.sync:
                item.future.set_result(frame.sequence)
        if failed:
            self._fail(failed, f"the write-ahead log cannot be written: {error_text}")
        if frames:
            self._publish(done, frames)
        return rest if self._failure is None else self._fail(rest, self._failure)

    def _publish(self, done: list[Submission], frames: list[Frame]) -> None:
        try:
            self._active.sync()
        except OSError as error:
            # After a failed fdatasync the kernel may have dropped the pages: no retry can be trusted.
            self._stop(f"the write-ahead log cannot be synced: {error}; restart to go on with what is on disk")
            self._fail([item for item in done if item.sync], self._failure or "")
            return
        self._next = frames[-1].sequence + 1
        self._synced = frames[-1].sequence
        self._on_commit(frames)
        self._tail.append(frames)
        for item, frame in zip(done, frames, strict=True):
            if item.sync:
                item.future.set_result(frame.sequence)

    def _fit(self, group: list[Submission]) -> tuple[list[Submission], list[Submission]]:
        """The part of ``group`` that goes into the active segment, which is replaced if nothing fits."""
        if self._active.end and self._active.end + group[0].payload.frame_size > self._settings.segment_bytes:
            self._rotate()
        room = self._settings.segment_bytes - self._active.end
        for index, item in enumerate(group):
            room -= item.payload.frame_size
            if room < 0 and index:
                return group[:index], group[index:]
        return group, []

    def _rotate(self) -> None:
        segment = Segment(self._next, segment_path(self._directory, self._next))
        fresh = ActiveSegment.create(self._disk, segment, self._settings)
        with self._segments_lock:
            old, self._active = self._active, fresh
            self._closed_bytes[self._segments[-1].first] = old.end
            self._segments.append(segment)
        try:
            old.close(cut=True)
        except OSError as error:
            logger.warning("closing a full segment of the write-ahead log: %s", error)

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
        if joined is None or joined.entries > MAX_ENTRIES or joined.length > MAX_PAYLOAD:
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
        self._failure = self._failure or message
        failure = self._failure
        self._queue.refuse(lambda: WalFailed(failure))


def _lock_directory(directory: Path) -> int:
    descriptor = os.open(directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise WalLocked(f"{directory} is in use by another headrace process") from error
    return descriptor


def _open_last(
    directory: Path, settings: WalSettings, disk: Disk, first_sequence: int
) -> tuple[list[Segment], ActiveSegment, int]:
    """The segments, the one to append to, and the next sequence."""
    segments = list_segments(directory)
    while segments and segments[-1].first < first_sequence and find_end(segments[-1]).next == segments[-1].first:
        if len(segments) > 1:
            break
        # A lone, empty segment of an older numbering: nothing is in it.
        disk.unlink(segments.pop().path)
    if not segments:
        segment = Segment(first_sequence, segment_path(directory, first_sequence))
        return [segment], ActiveSegment.create(disk, segment, settings), first_sequence
    last = segments[-1]
    end = find_end(last)
    if end.damage is not None and not settings.salvage:
        raise damaged(last, end.damage)
    if end.next < first_sequence and not settings.salvage:
        raise WalDamaged(
            f"the write-ahead log in {directory} ends with frame {end.next - 1}, but frames up to {first_sequence - 1} "
            "were persisted: its newest segments are missing"
        )
    if end.torn:
        logger.warning("cutting an unfinished write of %d bytes off %s at offset %d", end.torn, last.path, end.offset)
    if end.damage is not None or end.next < first_sequence:
        # Nothing may be appended behind damage: go on in a segment of its own.
        following = max(end.next, first_sequence, last.first + 1)
        segment = Segment(following, segment_path(directory, following))
        return [*segments, segment], ActiveSegment.create(disk, segment, settings), following
    return segments, ActiveSegment.reopen(disk, last, end, settings), end.next
