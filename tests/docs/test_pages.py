"""Every example of the README and of Getting started runs, in order, as printed; pages stay true to the code."""

import re
from pathlib import Path

import pytest
from headrace.api.cli.errors import UsageError
from headrace.api.cli.main import COMMANDS, find
from headrace.api.cli.reference import page
from headrace.api.settings import SETTINGS

from tests.docs.demo import run_demo
from tests.docs.shell import ROOT, Shell, blocks, commands

PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/plugins/*.py")])
MARKDOWN = [path for path in PAGES if path.suffix == ".md"]
GENERATED = {ROOT / "docs" / "cli.md"}


def run_page(shell: Shell, path: Path) -> None:
    for block in blocks(path):
        if block.kind in ("sh", "python"):
            shell.run(block)


def test_the_readme_runs_beside_its_own_demo_which_goes_on_with_its_data_when_started_again(shell):
    for start in range(2):
        with run_demo(shell.directory, shell.port) as printed:
            text = printed.read_text()
            if start == 0:
                run_page(shell, ROOT / "README.md")
        assert ("created successfully" in text) is (start == 0)
        assert "| Kitchen      | 480  | 21.41     | 28.82    |" in text
        assert text.count("| high ") == 2
    assert (shell.directory / "data" / "token").stat().st_mode & 0o077 == 0


def test_getting_started_runs_from_an_empty_directory(shell):
    run_page(shell, ROOT / "docs" / "getting-started.md")


def test_the_readme_names_the_commands_that_make_knows():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = [block.text.strip() for block in blocks(ROOT / "README.md") if block.kind == "console"]
    assert named == ["make serve", "make test"]
    assert {"serve", "test"} <= set(targets)


def test_make_serve_is_the_demo_script():
    assert re.search(r"^serve:.*\n\t\$\(BIN\)/python examples/demo\.py ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_reference_page_is_what_the_parsers_say():
    assert (ROOT / "docs" / "cli.md").read_text() == page(), "docs/cli.md is out of date: run `make docs`"


def test_every_option_and_command_is_in_the_reference():
    text = (ROOT / "docs" / "cli.md").read_text()
    for command in COMMANDS:
        assert f"### headrace {command.name}" in text
        pending = [command.parser("headrace")]
        while pending:
            parser = pending.pop()
            pending += parser.commands.values()
            for option in parser.options:
                assert option.shown == "never" or f"`{option.label}`" in text, f"{parser.prog}: {option.label}"
                assert option.help.strip(), f"{parser.prog} {option.label} has no help"


def test_every_setting_is_in_the_configuration_page():
    text = (ROOT / "docs" / "configuration.md").read_text()
    for setting in SETTINGS:
        assert f"`{setting.option}" in text
        for variable in setting.env:
            assert f"`{variable}`" in text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_a_page_shows_is_one(path):
    shown = path.read_text()
    if path.suffix == ".md":
        shown = "\n".join(block.text for block in blocks(path) if block.kind in ("sh", "bash", "console"))
    else:
        shown = "\n".join(line for line in shown.splitlines() if line.startswith(("    headrace", "      --")))
    for words in commands(shown):
        problem = complaint(words)
        # The page may have put the database into the environment.
        left_out = problem and re.search(r"not provided:\n  --database <DATABASE_NAME>\n\n", problem)
        assert problem is None or left_out, f"{words}: {problem}"


def complaint(words: list[str]) -> str | None:
    """What the parser says against a command line, None if nothing."""
    command = find(words[0])
    if command is None:
        return f"there is no command {words[0]}"
    try:
        command.parser("headrace").parse(words[1:])
    except UsageError as error:
        return str(error)
    return None


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path):
    text = path.read_text()
    for target in re.findall(r"\]\(([^)#\s]*)(?:#[^)]*)?\)", text):
        if target and not re.match(r"\w+:", target):
            assert (path.parent / target).exists(), target
    for file, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)]*)\)", text):
        page_of = (path.parent / file if file else path).read_text()
        headings = re.findall(r"^#+ (.*)$", page_of, re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in anchors, f"{file}#{anchor}"


def test_every_page_can_be_reached_from_the_index():
    seen: set[Path] = set()
    pending = [ROOT / "README.md", ROOT / "docs" / "index.md"]
    while pending:
        path = pending.pop().resolve()
        if path in seen or path.suffix != ".md":
            continue
        seen.add(path)
        pending += [
            path.parent / target
            for target in re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", path.read_text())
            if (path.parent / target).exists()
        ]
    assert set(MARKDOWN) <= seen


def test_the_changelog_names_the_version_of_the_package():
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text()
