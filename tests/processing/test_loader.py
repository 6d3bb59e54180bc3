"""Loading goes on in a worker, so these tests load through one: modules of a plugin never enter this process."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from headrace.processing.errors import MissingEntryPoint, PluginLoadFailed, PluginRaised
from headrace.processing.run import FetchedSource, PluginFile
from headrace.processing.specs import TriggerKind

from tests.processing.workshop import Workshop, must, on_request, on_rows, on_schedule

SCHEDULE = TriggerKind.SCHEDULE


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    shop = Workshop(tmp_path)
    yield shop
    shop.stop()


def test_a_directory_is_a_package_with_relative_and_absolute_imports(workshop: Workshop) -> None:
    workshop.write(
        """
        from .rules import RULE
        from meters.units.si import UNIT
        import meters.rules

        def process_scheduled_call(local, call_time, args=None):
            from . import late
            local.info(RULE, UNIT, meters.rules.RULE, late.VALUE, __name__)
        """,
        "meters/__init__.py",
    )
    workshop.write("RULE = 'rule'", "meters/rules.py")
    workshop.write("from ..rules import RULE\nUNIT = RULE + ' unit'", "meters/units/si.py")
    workshop.write("VALUE = 'late'", "meters/late.py")
    must(workshop.worker(SCHEDULE, PluginFile("meters")).run(on_schedule()))
    assert workshop.services.texts() == ["rule rule unit rule late meters"]


def test_a_package_named_like_one_of_the_standard_library_hides_nothing(workshop: Workshop) -> None:
    workshop.write(
        """
        import json
        from .part import VALUE

        def process_scheduled_call(local, call_time, args=None):
            local.info(json.dumps([VALUE]), __name__)
        """,
        "json/__init__.py",
    )
    workshop.write("VALUE = 1", "json/part.py")
    must(workshop.worker(SCHEDULE, PluginFile("json")).run(on_schedule()))
    assert workshop.services.texts() == ["[1] plugin_json"]


def test_a_file_named_like_a_module_hides_nothing(workshop: Workshop) -> None:
    workshop.write(
        "import csv\ndef process_scheduled_call(local, call_time, args=None): local.info(csv.QUOTE_ALL)", "csv.py"
    )
    must(workshop.worker(SCHEDULE, PluginFile("csv.py")).run(on_schedule()))
    assert workshop.services.texts() == ["1"]


def test_classes_of_a_single_file_can_be_dataclasses_and_be_pickled(workshop: Workshop) -> None:
    workshop.write(
        """
        import pickle
        from dataclasses import dataclass

        @dataclass
        class Reading:
            value: float

        def process_scheduled_call(local, call_time, args=None):
            local.info(pickle.loads(pickle.dumps(Reading(1.5))))
        """
    )
    must(workshop.worker(SCHEDULE).run(on_schedule()))
    assert workshop.services.texts() == ["Reading(value=1.5)"]


def test_fetched_source_runs_and_shows_its_lines_in_tracebacks(workshop: Workshop) -> None:
    source = "def process_scheduled_call(local, call_time, args=None):\n    raise ValueError('fetched')\n"
    outcome = workshop.worker(SCHEDULE, FetchedSource("gh:examples/x.py", source)).run(on_schedule())
    assert isinstance(outcome.error, PluginRaised)
    assert 'File "gh:examples/x.py", line 2' in outcome.traceback
    assert "raise ValueError('fetched')" in outcome.traceback


def test_a_changed_file_is_loaded_anew_even_if_size_and_second_stay_the_same(workshop: Workshop) -> None:
    source = "def process_scheduled_call(local, call_time, args=None): local.info({})"
    worker = workshop.worker(SCHEDULE)
    for number in range(5):
        workshop.write(source.format(number))
        must(worker.run(on_schedule()))
    assert workshop.services.texts() == ["0", "1", "2", "3", "4"]


def test_a_changed_module_of_a_directory_is_loaded_anew(workshop: Workshop) -> None:
    workshop.write(
        "from .m import V\ndef process_scheduled_call(local, call_time, args=None): local.info(V)", "p/__init__.py"
    )
    worker = workshop.worker(SCHEDULE, PluginFile("p"))
    for number in range(4):
        workshop.write(f"V = {number}", "p/m.py")
        must(worker.run(on_schedule()))
    assert workshop.services.texts() == ["0", "1", "2", "3"]


def test_module_state_stays_while_nothing_changes(workshop: Workshop) -> None:
    workshop.write(
        """
        import itertools
        numbers = itertools.count()

        def process_scheduled_call(local, call_time, args=None):
            local.info(next(numbers))
        """
    )
    worker = workshop.worker(SCHEDULE)
    pids = set()
    for _ in range(3):
        must(worker.run(on_schedule()))
        pids.add(worker.pid)
    assert workshop.services.texts() == ["0", "1", "2"]
    assert len(pids) == 1


def test_a_syntax_error_names_file_and_line(workshop: Workshop) -> None:
    workshop.write("def process_scheduled_call(local, call_time, args=None):\n    return (\n")
    outcome = workshop.worker(SCHEDULE).run(on_schedule())
    assert isinstance(outcome.error, PluginLoadFailed)
    assert "SyntaxError" in outcome.error.message
    assert 'File "plugin.py", line 2' in outcome.traceback
    assert "worker_main" not in outcome.traceback


def test_a_plugin_that_is_gone_is_a_load_error_and_comes_back(workshop: Workshop) -> None:
    good = "def process_scheduled_call(local, call_time, args=None): local.info('here')"
    path = workshop.write(good)
    worker = workshop.worker(SCHEDULE)
    must(worker.run(on_schedule()))
    path.unlink()
    outcome = worker.run(on_schedule())
    assert isinstance(outcome.error, PluginLoadFailed)
    assert "'plugin.py' was not found" in outcome.error.message
    workshop.write(good)
    must(worker.run(on_schedule()))


@pytest.mark.parametrize("path", ["../plugin.py", "/etc/hostname", "a\0b", "link.py"])
def test_a_plugin_outside_the_directory_is_not_loaded(tmp_path: Path, path: str) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugin.py").write_text("def process_scheduled_call(local, call_time, args=None): pass")
    (tmp_path / "plugins" / "link.py").symlink_to(tmp_path / "plugin.py")
    shop = Workshop(tmp_path / "plugins")
    outcome = shop.worker(SCHEDULE, PluginFile(path)).run(on_schedule())
    assert isinstance(outcome.error, PluginLoadFailed)
    assert "Path traversal detected" in outcome.error.message
    shop.stop()


def test_byte_code_cannot_stand_in_for_a_module(workshop: Workshop, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "m.py").write_text("V = 'outside'")
    workshop.write(
        "from .sub.m import V\ndef process_scheduled_call(local, call_time, args=None): pass", "p/__init__.py"
    )
    os.symlink(outside, tmp_path / "p" / "sub")
    outcome = workshop.worker(SCHEDULE, PluginFile("p")).run(on_schedule())
    assert isinstance(outcome.error, PluginLoadFailed)
    assert "leads out" in outcome.error.message


@pytest.mark.parametrize(
    ("kind", "request_", "signature"),
    [
        (TriggerKind.WAL, on_rows(), "process_writes(influxdb3_local, table_batches, args=None)"),
        (SCHEDULE, on_schedule(), "process_scheduled_call(influxdb3_local, call_time, args=None)"),
        (TriggerKind.REQUEST, on_request(), "process_request(influxdb3_local, query_parameters, request_headers"),
    ],
)
def test_a_missing_entry_point_is_named_with_its_signature(
    workshop: Workshop, kind: TriggerKind, request_: object, signature: str
) -> None:
    workshop.write("process_writes = process_scheduled_call = process_request = 'not callable'")
    outcome = workshop.worker(kind).run(request_)  # type: ignore[arg-type]
    assert isinstance(outcome.error, MissingEntryPoint)
    assert signature in outcome.error.message


def test_a_worker_loads_nothing_that_its_plugin_did_not_ask_for(workshop: Workshop) -> None:
    workshop.write(
        """
        import sys

        def process_scheduled_call(local, call_time, args=None):
            heavy = ("numpy", "numba", "datafusion", "fastapi", "pyarrow")
            local.info([name for name in sys.modules if name.split(".")[0] in heavy])
            local.info([name for name in sys.modules if name.startswith("headrace.") and ".processing" not in name])
        """
    )
    must(workshop.worker(SCHEDULE).run(on_schedule()))
    assert workshop.services.texts() == ["[]", "[]"]


def test_pickles_from_a_cache_are_never_opened_here(workshop: Workshop) -> None:
    workshop.write(
        """
        import os

        class Bomb:
            def __reduce__(self):
                return os.getpid, ()

        def process_scheduled_call(local, call_time, args=None):
            local.cache.put("bomb", Bomb(), use_global=True)
        """
    )
    worker = workshop.worker(SCHEDULE)
    must(worker.run(on_schedule()))
    entry = workshop.services.cache.get(worker.spec.cache, "bomb", use_global=True)
    assert entry is not None
    assert pickle.loads(entry.value) == os.getpid()  # harmless, and only this test does it
