"""Every plugin and every command of the plugin pages runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs.shell import ROOT, Block, Shell, blocks
from tests.processing.engine_lab import EngineLab

PAGES = ROOT / "docs" / "plugins"


def plugins(page: str) -> dict[str, str]:
    """The plugins that a page shows, by file name."""
    noted = {block.note.removeprefix("plugin: "): block.text for block in blocks(PAGES / page) if block.note}
    return {name: text for name, text in noted.items() if name.endswith(".py")}


def save(directory: Path, page: str) -> None:
    directory.mkdir(exist_ok=True)
    for name, text in plugins(page).items():
        (directory / name).write_text(text)


def run(shell: Shell, found: list[Block]) -> None:
    for block in found:
        if block.kind == "sh":
            shell.run(block)


def test_the_first_plugin_runs_as_the_page_says(shell: Shell) -> None:
    save(shell.directory / "plugins", "index.md")
    run(shell, blocks(PAGES / "index.md"))


def test_the_commands_that_test_plugins_run(shell: Shell) -> None:
    save(shell.directory / "plugins", "testing.md")
    serve = next(block for block in blocks(PAGES / "index.md") if block.note == "in another terminal")
    run(shell, [serve, Block("sh", "headrace create database home\n", "", 0), *blocks(PAGES / "testing.md")])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[EngineLab]:
    lab = EngineLab(tmp_path)
    save(lab.plugin_dir, "api.md")
    lab.write("home,room=Kitchen temp=20.0 1")
    yield lab
    lab.close()


def _count_rows(lab: EngineLab) -> None:
    lab.trigger("count_rows.py", "table:home")
    lab.write("home,room=Kitchen temp=20.0 2\nhome,room=Bath temp=21.0 2")
    lab.until(lambda: lab.count("written") == 1)
    assert [row["rows"] for row in lab.rows("SELECT rows FROM written")] == [2]


def _kelvin(lab: EngineLab) -> None:
    lab.trigger("kelvin.py", "table:home")
    lab.write("home,room=Kitchen temp=20.0 2")
    lab.until(lambda: lab.count("kelvin") == 1)
    assert lab.rows("SELECT * FROM kelvin") == [{"room": "Kitchen", "temp": 293.15, "time": 2}]


def _heartbeat(lab: EngineLab) -> None:
    lab.trigger("heartbeat.py", "every:1s")
    lab.until(lambda: lab.count("heartbeat") >= 1)


def _echo(lab: EngineLab) -> None:
    lab.trigger("echo.py", "request:echo")
    answer = lab.engine.handle_request("echo", {"name": "n"}, {}, b'{"a": 1}')
    assert (answer.status, json.loads(answer.body)) == (201, {"name": "n", "received": {"a": 1}})
    assert lab.rows("SELECT name FROM requests") == [{"name": "n"}]


def _latest(lab: EngineLab) -> None:
    lab.trigger("latest.py", "request:latest")
    answer = lab.engine.handle_request("latest", {"room": "Kitchen"}, {}, b"")
    assert json.loads(answer.body) == {"room": "Kitchen", "temp": 20.0}
    assert lab.engine.handle_request("latest", {"room": "Attic"}, {}, b"").status == 404


def _counter(lab: EngineLab) -> None:
    lab.trigger("counter.py", "request:counter")
    bodies = [lab.engine.handle_request("counter", {}, {}, b"").body for _ in range(3)]
    assert [json.loads(body) for body in bodies] == [{"count": 1}, {"count": 2}, {"count": 3}]


CHECKS: dict[str, Callable[[EngineLab], None]] = {
    "count_rows.py": _count_rows,
    "kelvin.py": _kelvin,
    "heartbeat.py": _heartbeat,
    "echo.py": _echo,
    "latest.py": _latest,
    "counter.py": _counter,
}


@pytest.mark.parametrize("name", plugins("api.md"))
def test_the_plugins_of_the_reference_do_what_it_says(lab: EngineLab, name: str) -> None:
    CHECKS[name](lab)
