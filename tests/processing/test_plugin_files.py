"""Uploads stay inside the plugin directory and are whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from headrace.processing.errors import PluginNotFound, PluginPathRefused, PluginTooLarge
from headrace.processing.plugin_files import MAX_FILE_BYTES, put_file, replace_directory, update_plugin


def test_a_file_is_written_with_the_folders_it_lies_in(tmp_path: Path) -> None:
    put_file(tmp_path, "team/p.py", "x = 1\n")
    put_file(tmp_path, "team/p.py", "x = 2\n")
    assert (tmp_path / "team" / "p.py").read_text() == "x = 2\n"
    assert [path.name for path in (tmp_path / "team").iterdir()] == ["p.py"]


@pytest.mark.parametrize("name", ["../out.py", "/etc/out.py", "a/../../out.py", "nul\0.py", "", "link/out.py"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (tmp_path / "outside").mkdir()
    (plugins / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(PluginPathRefused):
        put_file(plugins, name, "")
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("name", ["../out.py", "/etc/out.py", "a/../../out.py", "nul\0.py", ""])
def test_a_directory_with_a_path_that_leads_out_is_refused_whole(tmp_path: Path, name: str) -> None:
    with pytest.raises(PluginPathRefused):
        replace_directory(tmp_path, "good", {"__init__.py": "", name: ""})
    assert list(tmp_path.iterdir()) == []


def test_updating_a_directory_plugin_replaces_its_entry_file(tmp_path: Path) -> None:
    put_file(tmp_path, "p/__init__.py", "old")
    put_file(tmp_path, "p/other.py", "kept")
    update_plugin(tmp_path, "p", "new")
    assert (tmp_path / "p" / "__init__.py").read_text() == "new"
    assert (tmp_path / "p" / "other.py").read_text() == "kept"
    with pytest.raises(PluginNotFound):
        update_plugin(tmp_path, "missing.py", "")


def test_a_replaced_directory_has_the_new_files_only(tmp_path: Path) -> None:
    put_file(tmp_path, "p/__init__.py", "old")
    put_file(tmp_path, "p/gone.py", "old")
    replace_directory(tmp_path, "p", {"__init__.py": "new", "models/data.py": "d"})
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["p/__init__.py", "p/models/data.py"]


def test_a_refused_replacement_leaves_the_directory_as_it_was(tmp_path: Path) -> None:
    put_file(tmp_path, "p/__init__.py", "old")
    with pytest.raises(PluginPathRefused):
        replace_directory(tmp_path, "p", {"__init__.py": "new", "../../out.py": ""})
    assert (tmp_path / "p" / "__init__.py").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_a_huge_upload_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginTooLarge):
        put_file(tmp_path, "p.py", "#" * (MAX_FILE_BYTES + 1))
