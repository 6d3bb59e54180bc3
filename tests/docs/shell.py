"""Running the examples of a page: its fenced blocks, in order, in one shell, as a reader would type them.

- A ``sh`` block is run; it must succeed. A ``text`` block right behind it is what it must print.
- ``<!-- in another terminal -->`` in front of a block starts it in the background and waits until the server
  answers; ``<!-- after a moment -->`` lets a block be repeated until it prints what it must.
- ``python`` blocks are run by the interpreter of the tests. Blocks of other kinds are not run.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PORT_IN_PAGES = "8181"
PATIENCE_S = 30.0

_BLOCK = re.compile(r"(?:<!-- (?P<note>[^>]*) -->\n+)?```(?P<kind>\w+)\n(?P<text>.*?)```\n", re.DOTALL)


@dataclass(frozen=True)
class Block:
    kind: str
    text: str
    note: str
    line: int
    output: str | None = None
    """What a ``text`` block right behind says it prints."""


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of ``page``."""
    text = page.read_text()
    found: list[Block] = []
    end = -1
    for match in _BLOCK.finditer(text):
        block = Block(match["kind"], match["text"], match["note"] or "", text.count("\n", 0, match.start()) + 1)
        if block.kind == "text" and found and not text[end : match.start()].strip():
            last = found[-1]
            found[-1] = Block(last.kind, last.text, last.note, last.line, output=block.text)
        else:
            found.append(block)
        end = match.end()
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Shell:
    """One bash that a page's blocks are typed into. ``port`` stands in for the one that pages name."""

    def __init__(self, directory: Path, port: int) -> None:
        self.port = port
        self.directory = directory
        (directory / "examples").symlink_to(ROOT / "examples")
        (directory / ".venv").symlink_to(sys.prefix)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("INFLUXDB3_")}
        environment.pop("VIRTUAL_ENV", None)
        environment["PATH"] = f"{directory / '.venv' / 'bin'}{os.pathsep}{environment['PATH']}"
        environment["PYTHONUNBUFFERED"] = "1"
        environment["INFLUXDB3_HOST_URL"] = f"http://127.0.0.1:{port}"  # what pages leave at its default
        self._environment = environment
        self._background: list[subprocess.Popen[bytes]] = []
        self._state = directory / ".shell-state"

    def run(self, block: Block) -> None:
        """Run one block and compare what it prints. Raises AssertionError with the whole story."""
        text = block.text.replace(PORT_IN_PAGES, str(self.port))
        if block.kind == "python":
            text = f"{sys.executable} - <<'END_OF_EXAMPLE'\n{text}END_OF_EXAMPLE\n"
        if block.note == "in another terminal":
            self._start(text)
            return
        deadline = time.monotonic() + (PATIENCE_S if block.note == "after a moment" else 0)
        while True:
            done = self._type(text)
            story = f"line {block.line}: exit code {done.returncode}\n$ {text}{done.stdout}{done.stderr}"
            expected = None if block.output is None else block.output.replace(PORT_IN_PAGES, str(self.port))
            good = done.returncode == 0 and (expected is None or done.stdout.strip() == expected.strip())
            if good:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"{story}\nexpected:\n{expected}")
            time.sleep(0.2)

    def _type(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run ``text`` where the last block left off: variables, functions and directory are carried over."""
        script = (
            f"[ -f {self._state} ] && . {self._state}\n{text}\nstatus=$?\nexport -p > {self._state}\nexit $status\n"
        )
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def _start(self, text: str) -> None:
        script = f"[ -f {self._state} ] && . {self._state}\nexec {text}"
        log = (self.directory / "background.log").open("ab")
        self._background.append(
            subprocess.Popen(["bash", "-c", script], cwd=self.directory, env=self._environment, stdout=log, stderr=log)
        )
        self.wait_until_serving(self._background[-1])

    def wait_until_serving(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 4 * PATIENCE_S
        while process.poll() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return
            except urllib.error.HTTPError:
                return  # it answers; that it wants a token is fine
            except OSError:
                time.sleep(0.1)
        raise AssertionError((self.directory / "background.log").read_text(errors="replace"))

    def close(self) -> None:
        for process in self._background:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(60)


def commands(text: str) -> Iterator[list[str]]:
    """The words of every ``headrace`` or ``influxdb3`` command in a piece of shell."""
    import shlex

    joined = re.sub(r"\\\n\s*", " ", text)
    for line in joined.splitlines():
        line = re.sub(r"^[>$]\s+", "", line.strip())
        match = re.search(r"(?:^|[|(&;]\s*|\bexec )(?:\S*/)?(headrace|influxdb3) (.*)", line)
        if match:
            try:
                words = shlex.split(match[2], comments=True)
            except ValueError:  # the quotes close on a later line: the options in front are what matters
                words = [*shlex.split(re.split("['\"]", match[2])[0], comments=True), "x"]
            end = next((at for at, word in enumerate(words) if word in ("|", ">", "&", "<<<")), len(words))
            yield words[:end]
