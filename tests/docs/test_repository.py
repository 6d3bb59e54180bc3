"""The files that make the repository work: targets, CI, the lock file, hooks."""

import os
import re
import subprocess
import tomllib

from tests.docs.shell import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_file_pins_everything_that_the_package_and_its_tools_need():
    lines = [line for line in (ROOT / "requirements.lock.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = {}
    for line in lines:
        name, equals, version = line.partition("==")
        assert equals, line
        assert re.fullmatch(r"[\w.+!-]+", version), line
        pinned[normal(name)] = version
    extras = PROJECT["project"]["optional-dependencies"]
    needed = [*PROJECT["project"]["dependencies"], *(one for extra in extras.values() for one in extra)]
    for requirement in needed:
        match = re.match(r"[\w.-]+", requirement)
        assert match is not None
        assert normal(match[0]) in pinned, requirement


def test_the_ci_script_can_be_run_and_runs_the_readmes_second_command():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    assert re.search(r"\bmake .*\btest\b", script.read_text())


def test_make_lists_its_targets():
    done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("serve", "demo", "test", "lint", "bench"):
        assert f"make {target} " in done.stdout


def test_every_folder_of_the_package_is_mapped_and_layered():
    folders = {path.parent.name for path in ROOT.glob("*/py.typed")}
    mapped = set(PROJECT["tool"]["setuptools"]["package-dir"].values())
    layers = {name.removeprefix("headrace.") for name in PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]}
    makefile = re.search(r"^PACKAGES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert makefile is not None
    assert folders == mapped == layers == set(makefile[1].split())
