from __future__ import annotations

import threading

import pytest
from headrace.storage.errors import BufferFull
from headrace.storage.memory_budget import MemoryBudget


def test_there_is_room_below_the_limit_only() -> None:
    budget = MemoryBudget(100)
    budget.add(99)
    budget.wait_for_room(0)
    budget.add(1)
    with pytest.raises(BufferFull, match="retry later"):
        budget.wait_for_room(0)
    with pytest.raises(BufferFull, match="no space left"):
        budget.wait_for_room(0.01, "no space left on device")
    assert BufferFull.status == 503


def test_who_waits_goes_on_when_memory_is_freed() -> None:
    budget = MemoryBudget(100)
    budget.add(150)
    through = threading.Event()

    def wait() -> None:
        budget.wait_for_room(30)
        through.set()

    thread = threading.Thread(target=wait)
    thread.start()
    budget.add(-40)
    assert not through.wait(0.05)
    budget.add(-20)
    assert through.wait(10)
    thread.join()
    assert budget.used == 90
