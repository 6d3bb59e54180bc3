from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from headrace.processing.process_family import (
    MARK,
    Process,
    family,
    kill_family,
    processes,
    proportional_bytes,
    resident_bytes,
    running_tasks,
)

from tests.processing.workshop import wait_for

_TREE = """
import os, sys, time
held = b"x" * (40 << 20)
for escape in (False, True):
    child = os.fork()
    if child == 0:
        if escape:
            os.setsid()
            if os.fork():
                os._exit(0)
        time.sleep(600)
    if escape:
        os.waitpid(child, 0)
print("ready", flush=True)
if sys.argv[1] == "stay":
    time.sleep(600)
"""


@dataclass(frozen=True)
class Tree:
    """A process with a child in its session and a grandchild that has left it."""

    popen: subprocess.Popen[bytes]
    mark: str

    def alive(self) -> list[Process]:
        return family(self.popen.pid, processes(), mark=self.mark)

    def whole(self) -> list[Process]:
        """The members, once all are there."""
        wait_for(lambda: len(self.alive()) == (3 if self.popen.pid in processes() else 2))
        return self.alive()


@pytest.fixture(params=["stay", "leave"])
def tree(request: pytest.FixtureRequest) -> Iterator[Tree]:
    mark = uuid.uuid4().hex
    popen = subprocess.Popen(
        [sys.executable, "-c", _TREE, request.param],
        stdout=subprocess.PIPE,
        env={**os.environ, MARK: mark},
        start_new_session=True,
    )
    assert popen.stdout is not None
    popen.stdout.readline()
    tree = Tree(popen, mark)
    if request.param == "leave":
        wait_for(lambda: popen.pid not in processes())
    yield tree
    kill_family(popen.pid, mark)
    popen.wait()
    popen.stdout.close()


def test_whoever_belongs_to_a_worker_is_found_and_killed_wherever_it_went(tree: Tree) -> None:
    tree.whole()
    kill_family(tree.popen.pid, tree.mark)
    assert tree.alive() == []
    assert os.getpid() in processes()


def test_memory_that_forks_share_is_counted_once(tree: Tree) -> None:
    members = tree.whole()
    total = proportional_bytes(members)
    assert 40 << 20 < total < sum(each.resident_bytes for each in members) - (30 << 20)


def test_a_process_that_is_gone_holds_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert resident_bytes(gone.pid) == 0
    assert gone.pid not in processes()


def test_this_process_is_among_all_and_holds_something() -> None:
    me = processes()[os.getpid()]
    assert (me.parent, me.group, me.session) == (os.getppid(), os.getpgrp(), os.getsid(0))
    assert resident_bytes(os.getpid()) > 0
    assert running_tasks() > 1
