"""Every hostile plugin of the zoo: the right error, in bounded time, and nothing left behind."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from headrace.processing.errors import (
    MemoryLimitExceeded,
    OutputLimitExceeded,
    PluginLoadFailed,
    PluginRaised,
    ProcessLimitExceeded,
    RunFailed,
    TimeLimitExceeded,
    WorkerCrashed,
    WorkerProtocolError,
)
from headrace.processing.run import PluginFile, RunLimits
from headrace.processing.specs import TriggerKind

from tests.processing.workshop import (
    Workshop,
    marked_processes,
    must,
    on_schedule,
    open_descriptors,
    wait_for,
    zombie_children,
)

ZOO = Path(__file__).parent / "zoo"
MIB = 1 << 20
LIMITS = RunLimits(
    time_s=10.0, memory_bytes=256 * MIB, processes=16, output_bytes=64 * MIB, log_lines=1_000, grace_s=0.5
)
SHORT = replace(LIMITS, time_s=0.5, grace_s=0.3)
GOOD = """
def process_scheduled_call(influxdb3_local, call_time, args=None):
    influxdb3_local.info("all is well")
"""


@dataclass(frozen=True)
class Animal:
    """A plugin of the zoo, and what is to become of its run; ``error`` None: it succeeds."""

    plugin: str
    error: type[RunFailed] | tuple[type[RunFailed], ...] | None
    message: str = ""
    limits: RunLimits = LIMITS
    arguments: tuple[tuple[str, str], ...] = ()
    variant: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.plugin, self.variant)))


ANIMALS = [
    Animal("segfault", WorkerCrashed, "SIGSEGV"),
    Animal("exits_at_once", WorkerCrashed, "exit status 3"),
    Animal("endless_loop", TimeLimitExceeded, "its limit of 0.5 s", SHORT),
    Animal("swallows_interrupts", TimeLimitExceeded, "its limit of 0.5 s", SHORT),
    Animal("stops_itself", TimeLimitExceeded, "its limit of 0.5 s", SHORT),
    Animal("deadlock", TimeLimitExceeded, "its limit of 0.5 s", SHORT),
    Animal("deadlocked_thread", None),
    Animal("fork_bomb", ProcessLimitExceeded, "more than the 16 allowed"),
    Animal(
        "fork_bomb",
        (ProcessLimitExceeded, MemoryLimitExceeded),
        "allowed",
        replace(LIMITS, processes=64, memory_bytes=64 * MIB),
        variant="with little memory",
    ),
    Animal("daemons", None),
    Animal("daemons", WorkerCrashed, "exit status 1", arguments=(("crash", "yes"),), variant="then crash"),
    Animal("returns_twice", None),
    Animal("ten_gigabytes", MemoryLimitExceeded, "more than the 256 MiB allowed"),
    Animal("children_with_memory", MemoryLimitExceeded, "more than the 256 MiB allowed"),
    Animal("gigabyte_of_output", None),
    Animal("million_log_lines", None, limits=replace(LIMITS, time_s=30.0)),
    Animal("closes_descriptors", WorkerCrashed, "(closed|lost) its connection"),
    Animal("garbage_everywhere", WorkerProtocolError, "broke the protocol"),
    Animal("forged_length", WorkerProtocolError, "larger than"),
    Animal("forged_result", WorkerProtocolError, "not valid"),
    Animal("half_a_message", (WorkerCrashed, TimeLimitExceeded), "exit status 0|its limit", SHORT),
    Animal("asks_and_never_listens", TimeLimitExceeded, "its limit of 0.5 s", SHORT),
    Animal("raises_base_exception", PluginRaised, "Worst: caught all the same"),
    Animal("exits_by_exception", PluginRaised, "SystemExit: 0"),
    Animal("error_without_text", PluginRaised, "Silent"),
    Animal("bottomless_recursion", (WorkerCrashed, MemoryLimitExceeded), "SIGSEGV|MiB allowed"),
    Animal("crashes_on_import", WorkerCrashed, "SIGSEGV"),
    Animal("raises_on_import", PluginLoadFailed, "No module named 'a_module_that_does_not_exist'"),
    Animal("never_imported", TimeLimitExceeded, "took longer than 0.7 s to load", replace(SHORT, start_s=0.7)),
    Animal("million_lines", None, limits=replace(LIMITS, time_s=30.0, memory_bytes=1024 * MIB)),
    Animal("writes_too_much", OutputLimitExceeded, "one run may write"),
    Animal("hoards_in_the_cache", None),
    Animal("endless_file", PluginRaised, "File too large", replace(LIMITS, file_bytes=8 * MIB)),
]


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    monkeypatch.setenv("HEADRACE_TEST", str(os.getpid()))
    shop = Workshop(tmp_path)
    shop.services.cache.max_bytes = 32 * MIB
    yield shop
    shop.stop()


@pytest.mark.parametrize("animal", ANIMALS, ids=str)
def test_a_hostile_plugin_costs_its_own_run_and_nothing_else(workshop: Workshop, animal: Animal) -> None:
    descriptors = open_descriptors()
    shutil.copy(ZOO / f"{animal.plugin}.py", workshop.plugin_dir / "plugin.py")
    worker = workshop.worker(TriggerKind.SCHEDULE, PluginFile("plugin.py"), animal.limits)
    began = time.monotonic()
    outcome = worker.run(on_schedule(dict(animal.arguments)))
    took = time.monotonic() - began

    if animal.error is None:
        must(outcome)
    else:
        assert isinstance(outcome.error, animal.error), outcome
        with pytest.raises(type(outcome.error), match=animal.message):
            raise outcome.error
    assert took < (animal.limits.time_s or 0) + 8.0
    assert len(workshop.services.logged) <= animal.limits.log_lines + 1

    workshop.write(GOOD)
    must(worker.run(on_schedule()))
    assert workshop.services.logged[-1] == ("INFO", "all is well")

    began = time.monotonic()
    worker.stop()
    assert time.monotonic() - began < 5.0
    wait_for(lambda: not marked_processes() and not zombie_children())
    assert open_descriptors() <= descriptors + 1  # the watcher's own, if this was its first worker


@pytest.mark.soak
def test_good_plugins_do_not_notice_a_minute_of_hostile_ones(workshop: Workshop) -> None:
    for plugin in ZOO.glob("*.py"):
        shutil.copy(plugin, workshop.plugin_dir)
    workshop.write(GOOD, "good.py")
    animals = [animal for animal in ANIMALS if "million" not in animal.plugin and "gigabyte_" not in animal.plugin]
    until = time.monotonic() + 60
    wrong: list[object] = []

    def run_good() -> None:
        worker = workshop.worker(TriggerKind.SCHEDULE, PluginFile("good.py"))
        while time.monotonic() < until:
            outcome = worker.run(on_schedule())
            if outcome.error is not None:
                wrong.append(outcome)

    def run_hostile(seed: int) -> None:
        choice = random.Random(seed).choice
        while time.monotonic() < until:
            animal = choice(animals)
            worker = workshop.worker(TriggerKind.SCHEDULE, PluginFile(f"{animal.plugin}.py"), animal.limits)
            outcome = worker.run(on_schedule(dict(animal.arguments)))
            if (outcome.error is not None) if animal.error is None else not isinstance(outcome.error, animal.error):
                wrong.append((animal, outcome))
            worker.stop()

    jobs = [run_good, run_good, lambda: run_hostile(1), lambda: run_hostile(2)]
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    workshop.stop()
    assert not wrong
    wait_for(lambda: not marked_processes() and not zombie_children())
