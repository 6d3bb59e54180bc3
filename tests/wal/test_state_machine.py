"""The log against a list: whatever is done to it in whatever order, it holds what was acked, in order, once."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from headrace.wal.entry import Frame
from headrace.wal.errors import WalTrimmed
from headrace.wal.replay import replay
from headrace.wal.segment import list_segments
from headrace.wal.writer import Wal, WalSettings
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.wal.samples import UnsyncedDisk, rows, values_of


class LogMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="headrace-wal-"))
        self.lives = 0
        self.directory = self.root / "0"
        self.model: list[tuple[int, ...]] = []
        self.committed: list[Frame] = []
        self.persisted = 0
        self.value = 0
        self.wal: Wal

    @initialize(
        segment_bytes=st.sampled_from([1, 2000, 5000]),
        tail_bytes=st.sampled_from([0, 20_000, 1 << 20]),
        preallocate=st.booleans(),
    )
    def open(self, segment_bytes: int, tail_bytes: int, preallocate: bool) -> None:
        self.settings = WalSettings(segment_bytes=segment_bytes, tail_bytes=tail_bytes, preallocate=preallocate)
        self._open()

    def _open(self) -> None:
        self.wal = Wal.open(
            self.directory,
            self.settings,
            on_commit=self.committed.extend,
            first_sequence=self.persisted + 1,
            disk=UnsyncedDisk(),
        )
        assert self.wal.last_sequence == len(self.model)

    @rule(sizes=st.lists(st.integers(0, 3), min_size=1, max_size=6), sync=st.booleans())
    def submit(self, sizes: list[int], sync: bool) -> None:
        futures = []
        for size in sizes:
            values = tuple(range(self.value, self.value + size))
            self.value += size
            self.model.append(values)
            futures.append(self.wal.submit([rows(*values)], sync=sync))
        last = len(self.model)
        assert [future.result(30) for future in futures] == list(range(last - len(sizes) + 1, last + 1))
        self.wal.submit([]).result(30)  # whatever was acked before its sync is committed after this one
        self.model.append(())

    @rule(ahead=st.integers(0, 10))
    def trim(self, ahead: int) -> None:
        self.persisted = min(len(self.model), self.persisted + ahead)
        self.wal.trim(self.persisted)

    @rule(back=st.integers(0, 30), limit=st.sampled_from([1, 1000, 1 << 20]))
    def read(self, back: int, limit: int) -> None:
        after = max(0, len(self.model) - back)
        try:
            frames = self.wal.read(after, limit_bytes=limit)
        except WalTrimmed as error:
            oldest = error.first_retained
        else:
            self._check_read(frames, after)
            return
        assert after + 1 < oldest <= self.persisted + 1

    def _check_read(self, frames: list[Frame], after: int) -> None:
        assert [frame.sequence for frame in frames] == list(range(after + 1, after + 1 + len(frames)))
        assert [tuple(values_of([frame])) for frame in frames] == self.model[after : after + len(frames)]
        assert frames or after == len(self.model)

    @rule()
    def reopen(self) -> None:
        self.wal.close()
        self._check_replay()
        self._open()

    @rule()
    def kill(self) -> None:
        self._move_on()
        self._open()

    @precondition(lambda self: self.model and self.persisted < len(self.model))
    @rule(data=st.data())
    def tear(self, data: st.DataObject) -> None:
        """A power cut in the middle of the last frame: that one was never acked."""
        self._move_on()
        last = list_segments(self.directory)[-1]
        frames = [frame for frame in replay(self.directory, self.persisted) if frame.sequence >= last.first]
        if frames and frames[-1].sequence > self.persisted:
            end = sum(frame.size for frame in replay(self.directory, last.first - 1))
            cut = end - data.draw(st.integers(9, frames[-1].size))
            whole = last.path.read_bytes()
            last.path.unlink()
            last.path.write_bytes(whole[:cut] + bytes(len(whole) - end))
            self.model.pop()
            self.committed.pop()
        self._open()

    def _move_on(self) -> None:
        """Leave the log as a killed process does: a copy of the files as they are, the old one never closed in it."""
        self.lives += 1
        following = self.root / str(self.lives)
        shutil.copytree(self.directory, following)
        self.wal.close()
        shutil.rmtree(self.directory)
        self.directory = following
        self._check_replay()

    def _check_replay(self) -> None:
        frames = list(replay(self.directory, self.persisted))
        assert [tuple(values_of([frame])) for frame in frames] == self.model[self.persisted :]

    @invariant()
    def commits_are_the_model(self) -> None:
        assert [tuple(values_of([frame])) for frame in self.committed] == self.model

    def teardown(self) -> None:
        self.wal.close()
        shutil.rmtree(self.root)


LogMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
test_the_log_behaves_like_a_list = pytest.mark.timeout(120)(LogMachine.TestCase)
