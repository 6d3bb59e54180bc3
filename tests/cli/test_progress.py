"""What ``write`` reports."""

import io
import sys

import pytest
from headrace.api.cli.progress import Progress
from headrace.api.cli.quantities import format_elapsed, format_size


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_and_a_closing_line(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress(total=200)
    progress.add(b"m f=1\n" * 10)
    progress.finish()
    drawn, closing = terminal.getvalue().split("\r\x1b[2K")[1:]
    assert "[#########....................." in drawn
    assert "30%" in drawn
    assert "1 request " in closing
    assert "10 lines" in closing
    assert closing.endswith("\n")


def test_an_input_of_unknown_size_has_no_bar():
    assert Progress(total=None).bar() == ""


def test_anything_but_a_terminal_gets_the_closing_line_only(capsys):
    progress = Progress(total=200)
    progress.add(b"m f=1")
    assert capsys.readouterr().err == ""
    progress.finish()
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0004, "0ms"), (0.23, "230ms"), (1.23, "1s 230ms"), (61.5, "1m 1s 500ms"), (60, "1m")]
)
def test_elapsed_times_read_well(seconds, text):
    assert format_elapsed(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 kB"), (5 << 20, "5.0 MB"), (3 << 40, "3072.0 GB")]
)
def test_sizes_read_well(count, text):
    assert format_size(count) == text
