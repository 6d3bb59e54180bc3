"""The write-ahead log: many threads submit, one thread writes, syncs and publishes.

A submission is encoded on its caller's thread and queued; :mod:`headrace.wal.committer` is the thread
that makes it durable. Readers get what is durable, from memory or from the segments.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from headrace.wal.commit_queue import CommitQueue, Reservation, Submission
from headrace.wal.committer import Committer
from headrace.wal.disk import Disk
from headrace.wal.entry import Entry, Frame
from headrace.wal.errors import WalClosed, WalFailed, WalTrimmed
from headrace.wal.frame import encode_payload
from headrace.wal.log_files import LogFiles
from headrace.wal.reader import read_segments
from headrace.wal.tail import Tail, pick


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

    def __init__(self, files: LogFiles, settings: WalSettings, on_commit: Callable[[Sequence[Frame]], None]) -> None:
        self._files = files
        self._settings = settings
        self._queue = CommitQueue(settings.queue_bytes, settings.queue_count)
        self._tail = Tail(settings.tail_bytes, files.next_at_open - 1)
        self._committer = Committer(files, self._queue, self._tail, settings, on_commit)
        self._closed = False
        self._close_lock = threading.Lock()
        self._committer.start()

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
        settings = settings or WalSettings()
        try:
            return cls(LogFiles.open(directory, settings, disk or Disk(), first_sequence), settings, on_commit)
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
            segments, sizes = self._files.readable()
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
        self._files.trim(through)

    @property
    def last_sequence(self) -> int:
        """The sequence of the newest committed frame; 0 or ``first_sequence - 1`` before the first."""
        return self._tail.last

    @property
    def first_retained_sequence(self) -> int:
        """The oldest sequence that ``read`` can still give; ``last_sequence + 1`` if there is none."""
        return self._files.first_retained

    @property
    def size_bytes(self) -> int:
        """Bytes of frames in all segments, reserved space not counted."""
        return self._files.size_bytes

    @property
    def failure(self) -> str | None:
        """Why the log has stopped for good, or None."""
        return self._committer.failure

    def close(self) -> None:
        """Refuse new submissions, make everything queued durable, stop the thread, release the lock."""
        with self._close_lock:
            if self._closed:
                return
            self._closed = True
            self._queue.refuse(lambda: WalClosed("the write-ahead log is closed"))
            self._committer.join()
            self._files.close(cut=self._committer.failure is None)

    def __enter__(self) -> Wal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
