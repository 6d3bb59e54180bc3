"""Running the demo script as ``make serve`` runs it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.docs.shell import ROOT

SCRIPT = ROOT / "examples" / "demo.py"
TIMEOUT_S = 120.0


@contextmanager
def run_demo(directory: Path, port: int) -> Iterator[Path]:
    """The demo on ``directory / "data"``, from the moment it serves; Ctrl-C at the end. Yields what it printed."""
    printed = directory / "demo.log"
    with printed.open("wb") as log:
        demo = subprocess.Popen(
            [sys.executable, str(SCRIPT), "--data", "data", "--port", str(port)],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while "Ctrl-C stops it." not in printed.read_text():
            assert demo.poll() is None, printed.read_text()
            assert time.monotonic() < deadline, printed.read_text()
            time.sleep(0.05)
        yield printed
    finally:
        if demo.poll() is None:
            demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0, printed.read_text()
