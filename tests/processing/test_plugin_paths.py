from __future__ import annotations

import os
from pathlib import Path

import pytest
from headrace.processing.errors import PluginNotFound, PluginPathRefused
from headrace.processing.plugin_paths import contained_path, plugin_file, source_state
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "name",
    ["", "  ", "/etc/passwd", "../x.py", "a/../../x.py", "a/..", "x\0.py", "x\n.py", "a\\b.py", ".", "./", "x" * 2_000],
)
def test_paths_that_lead_out_or_are_none_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PluginPathRefused):
        contained_path(tmp_path, name)


@settings(deadline=None)
@given(st.text(max_size=30))
def test_whatever_is_let_through_lies_inside(name: str) -> None:
    root = Path("/tmp").resolve()
    try:
        path = contained_path(root, name)
    except PluginPathRefused:
        return
    assert path.is_relative_to(root)
    assert path != root


def test_a_path_may_name_something_that_is_not_there_yet(tmp_path: Path) -> None:
    assert contained_path(tmp_path, "new/deep/file.py") == tmp_path.resolve() / "new/deep/file.py"


def test_links_may_stay_inside_and_not_lead_out(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (tmp_path / "outside.py").write_text("")
    (plugins / "real.py").write_text("")
    (plugins / "inside.py").symlink_to("real.py")
    (plugins / "out.py").symlink_to(tmp_path / "outside.py")
    (plugins / "folder").symlink_to(tmp_path)
    assert contained_path(plugins, "inside.py") == plugins.resolve() / "real.py"
    for name in ("out.py", "folder/outside.py", "folder/new.py"):
        with pytest.raises(PluginPathRefused, match="leads out"):
            contained_path(plugins, name)


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises((PluginPathRefused, PluginNotFound)):
        plugin_file(tmp_path, "a")


def test_a_plugin_is_a_file_or_a_directory_with_an_entry_file(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    (root / "one.py").write_text("")
    (root / "many").mkdir()
    with pytest.raises(PluginNotFound, match=r"has no __init__\.py"):
        plugin_file(tmp_path, "many")
    (root / "many" / "__init__.py").write_text("")
    assert plugin_file(tmp_path, "one.py") == root / "one.py"
    assert plugin_file(tmp_path, "many") == plugin_file(tmp_path, "many/") == root / "many" / "__init__.py"
    with pytest.raises(PluginNotFound, match=r"'none\.py' was not found"):
        plugin_file(tmp_path, "none.py")


def test_the_state_changes_with_every_source_file_and_with_nothing_else(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    package = root / "p"
    (package / "sub").mkdir(parents=True)
    entry = package / "__init__.py"
    entry.write_text("a")
    (package / "sub" / "m.py").write_text("b")
    state = source_state(root, entry)
    for noise in ("__pycache__/x.py", ".git/x.py", "venv/x.py", "data.csv"):
        (package / noise).parent.mkdir(exist_ok=True)
        (package / "venv").mkdir(exist_ok=True)
        (package / "venv" / "pyvenv.cfg").write_text("")
        (package / noise).write_text("")
    assert source_state(root, entry) == state
    (package / "sub" / "m.py").write_text("c")
    os.utime(package / "sub" / "m.py", ns=(1, 1))
    changed = source_state(root, entry)
    assert changed != state
    (package / "new.py").write_text("")
    assert source_state(root, entry) != changed
    entry.unlink()
    (package / "new.py").unlink()
    (package / "sub" / "m.py").unlink()
    with pytest.raises(PluginNotFound):
        source_state(root, entry)


def test_a_source_file_that_links_out_is_refused(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    (plugins / "p").mkdir(parents=True)
    (plugins / "p" / "__init__.py").write_text("")
    (tmp_path / "outside.py").write_text("")
    (plugins / "p" / "m.py").symlink_to(tmp_path / "outside.py")
    with pytest.raises(PluginPathRefused, match="leads out"):
        source_state(plugins, plugin_file(plugins, "p"))
