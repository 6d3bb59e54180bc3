"""The demo: what the README's first command shows."""

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location

from tests.docs.demo import SCRIPT
from tests.docs.shell import ROOT


def sample_lines() -> list[str]:
    spec = spec_from_file_location("sample", ROOT / "examples" / "sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.lines())


def test_the_sample_is_the_same_each_time_and_has_something_of_everything():
    lines = sample_lines()
    assert lines == sample_lines()
    assert 2000 < len(lines) < 5000
    text = "\n".join(lines)
    assert {line.split(",")[0] for line in lines if "\n" not in line and line[0] != "#"} == {
        "home",
        "power",
        "weather",
        "events",
    }
    for kind in (
        "=-1i",
        "u ",
        "window=t",
        r"Living\ Room",
        r"Attic\,\ north",
        r"\"Noor\"",
        ",\none postcard",
        "Käse 🧀",
    ):
        assert kind in text


def test_the_one_shot_demo_shows_answers_and_alerts_and_stops():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--once"], capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Database "home" created successfully' in done.stdout
    assert "Trigger too_warm created successfully" in done.stdout
    assert "| Kitchen      | 480  | 21.41     | 28.82    |" in done.stdout
    assert "| Attic, north |" in done.stdout
    assert "threshold: temp is high: 25.06" in done.stdout
    assert "Serving on http://127.0.0.1:" in done.stdout
